//! Operations and memory of attention over long sequences, counted and not run.

use orthoformer::ops::approximation::{Approximation, Candidates, Prototypes};
use orthoformer::ops::attention;
use orthoformer::plan::{ELEMENT_BYTES, PlanLimits};
use orthoformer::{Error, Result, Shape};

use super::Method;

/// A column of the paper's table for the Long Range Arena (Patrick et al., NeurIPS 2021): networks with 2 heads of 32.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct PublishedRow {
    /// The attention's name there.
    pub name: &'static str,
    /// GFLOPS.
    pub gflops: f64,
    /// Memory, MB.
    pub megabytes: f64,
}

/// What the paper reports for its networks.
pub const PUBLISHED: [PublishedRow; 4] = [
    PublishedRow { name: "exact", gflops: 1.21, megabytes: 4579.0 },
    PublishedRow { name: "Performer-256", gflops: 0.49, megabytes: 885.0 },
    PublishedRow { name: "Nystrom-128", gflops: 0.62, megabytes: 745.0 },
    PublishedRow { name: "Orthoformer-64", gflops: 0.24, megabytes: 344.0 },
];

/// Cost of one attention over sequences of three lengths, `N`, `2N` and `4N`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LongRow {
    /// The attention's name.
    pub name: &'static str,
    /// Tokens.
    pub tokens: [u32; 3],
    /// Floating-point operations: two for each multiplication with its addition.
    pub operations: [u64; 3],
    /// Bytes of all buffers: inputs, output, scratch and constants.
    pub bytes: [u64; 3],
    /// Bytes of the scores, if they were in memory; exact attention here never has them there.
    pub score_bytes: [u64; 3],
    /// Whether operations grow linearly, or less: `4N` costs at most as much more than `2N` as that costs more than `N`, twice over, to one in a
    /// hundred.
    pub operations_linear: bool,
    /// Whether bytes do.
    pub bytes_linear: bool,
    /// What the paper reports.
    pub published: PublishedRow,
}

/// Counts exact attention, Performer-256, Nyström-128 and Orthoformer-64 (prototypes from queries and keys) over one sequence of `tokens`, twice
/// and four times as many, with `heads` heads of `size`.
///
/// # Errors
/// Those of planning: tokens fewer than landmarks or beyond what a kernel goes through.
pub fn long(tokens: u32, size: u32, heads: u32) -> Result<Vec<LongRow>> {
    let lengths = [1, 2, 4].map(|times| tokens.checked_mul(times));
    let [Some(one), Some(two), Some(four)] = lengths else {
        let factors = vec![tokens.into(), 4];
        return Err(Error::SizeOverflow { what: "tokens".to_owned(), factors, bits: 32 });
    };
    PUBLISHED.iter().map(|&published| row(published, [one, two, four], size, heads)).collect()
}

fn approximation(name: &str) -> Approximation {
    match name {
        "Performer-256" => Method::Performer.approximation(256, 0),
        "Nystrom-128" => Method::Nystrom.approximation(128, 0),
        "Orthoformer-64" => match Method::OrthogonalSum.approximation(64, 0) {
            Approximation::Orthoformer(prototypes) => {
                Approximation::Orthoformer(Prototypes { candidates: Candidates::QueriesAndKeys, ..prototypes })
            }
            other => other,
        },
        _ => Approximation::Exact,
    }
}

fn row(published: PublishedRow, tokens: [u32; 3], size: u32, heads: u32) -> Result<LongRow> {
    let approximation = approximation(published.name);
    let mut costs = [(0, 0, 0); 3];
    for (cost, &tokens) in costs.iter_mut().zip(&tokens) {
        let shape = Shape::new(1, heads as usize, 1, tokens as usize, size as usize)?;
        let (pairs, numbers) =
            (u64::from(heads) * u64::from(tokens).pow(2), u64::from(shape.tokens()) * u64::from(shape.channels()));
        *cost = match &approximation {
            // By its formula, as kernels do not go through keys of any number at once.
            Approximation::Exact => {
                (pairs.saturating_mul(4 * u64::from(size)), 4 * numbers * ELEMENT_BYTES, pairs * ELEMENT_BYTES)
            }
            _ => {
                let plan = attention::plan(&shape, &approximation, PlanLimits::default())?;
                (2 * plan.multiply_adds(), plan.buffer_bytes(), pairs * ELEMENT_BYTES)
            }
        };
    }
    let (operations, bytes) = (costs.map(|cost| cost.0), costs.map(|cost| cost.1));
    Ok(LongRow {
        name: published.name,
        tokens,
        operations,
        bytes,
        score_bytes: costs.map(|cost| cost.2),
        operations_linear: is_linear(operations),
        bytes_linear: is_linear(bytes),
        published,
    })
}

/// Whether a cost at `N`, `2N` and `4N` lies on a straight line, which need not go through zero, or bends below it.
fn is_linear([one, two, four]: [u64; 3]) -> bool {
    let (first, second) = (two as f64 - one as f64, four as f64 - two as f64);
    second <= 2.0 * first * 1.01
}

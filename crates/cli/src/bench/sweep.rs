//! `orthoformer bench attention`: attention over numbers of tokens and sizes of heads.

use clap::Args;
use orthoformer::plan::Element;
use orthoformer::{Error, Result};
use orthoformer_bench::{BenchOperation, BenchReport, BenchShape, Case, Request, Row};

use super::HowArgs;
use crate::terminal::{Table, print_tables, print_text};

/// Measure attention over numbers of tokens and sizes of heads.
///
/// Joint attention over all tokens, exact and approximated, in float32 and stored as float16: milliseconds and TFLOP/s, as the tables of FlashAttention have them.
/// Forward alone: there is no backward pass. Operations are those of the products with keys and values, two for each multiply-add.
#[derive(Args)]
pub(super) struct AttentionArgs {
    /// Numbers of tokens.
    #[arg(long, value_delimiter = ',', value_name = "N,...", default_value = "512,1024,2048,4096", value_parser = clap::value_parser!(u32).range(1..))]
    tokens: Vec<u32>,
    /// Channels of a head.
    #[arg(long, value_delimiter = ',', value_name = "D,...", default_value = "64,128", value_parser = clap::value_parser!(u32).range(1..))]
    head_size: Vec<u32>,
    /// Heads.
    #[arg(long, value_name = "H", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    heads: u32,
    /// Sequences that are computed together.
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Trajectory attention over so many frames too, whose patches are the tokens.
    #[arg(long, value_name = "F", value_parser = clap::value_parser!(u32).range(1..))]
    frames: Option<u32>,
    #[command(flatten)]
    pub how: HowArgs,
}

impl AttentionArgs {
    /// What to measure.
    ///
    /// # Errors
    /// [`Error::DoesNotDivide`] for tokens that are no whole number of patches a frame; [`Error::Argument`] for sizes that no layer has.
    pub fn request(&self) -> Result<Request> {
        let mut cases = Vec::new();
        for &tokens in &self.tokens {
            for &size in &self.head_size {
                let shape = self.shape(tokens, size)?;
                let trajectories = self.frames.map(|_| BenchOperation::Trajectories);
                for operation in [BenchOperation::Attention].into_iter().chain(trajectories) {
                    for approximation in operation.approximations(shape) {
                        let case =
                            |element| Case { operation, shape, batch: self.batch, approximation: approximation.clone(), element };
                        cases.extend(Element::ALL.map(|element| (case(element), vec![None])));
                    }
                }
            }
        }
        Ok(Request { cases, ceilings: !self.how.no_ceilings, effort: self.how.effort() })
    }

    fn shape(&self, tokens: u32, size: u32) -> Result<BenchShape> {
        let frames = self.frames.unwrap_or(1);
        if !tokens.is_multiple_of(frames) {
            let (given, divisor) = (tokens.into(), frames.into());
            return Err(Error::DoesNotDivide { what: "tokens", given, divisor_name: "frames", divisor });
        }
        let channels = u64::from(size) * u64::from(self.heads);
        format!("{frames}x{}x{channels}x{}", tokens / frames, self.heads).parse()
    }
}

/// Prints a row for each number of tokens, size of heads and kind of attention.
pub(super) fn print(report: &BenchReport) -> Result<()> {
    let header = ["tokens", "head", "attention", "approximation", "stored as", "ms", "IQR", "TFLOP/s", "of ceiling", "error"];
    let mut table = Table::new(&header).least(&["error", "IQR", "of ceiling"], "--json and --csv have all");
    for row in report.rows.iter().filter(|row| !row.is_stage()) {
        table.add_row(cells(row)?);
        if !row.is_ok() {
            table.add_note(format!("{}: {}", row.key().join(" "), row.status));
        }
    }
    print_tables(&[table])?;
    print_text("ms: median of rounds; two operations a multiply-add; error: as a share of the tolerance; forward alone")
}

fn cells(row: &Row) -> Result<[String; 10]> {
    let BenchShape { frames, patches, channels, heads } = row.shape.parse()?;
    let number = |number: Option<f64>, digits: usize| number.map_or(String::new(), |number| format!("{number:.digits$}"));
    let attention =
        if row.operation == "attention" { "joint".to_owned() } else { format!("{} over {frames} frames", row.operation) };
    Ok([
        (u64::from(frames) * u64::from(patches)).to_string(),
        (channels / heads.max(1)).to_string(),
        attention,
        row.approximation.clone(),
        if row.is_half() { "float16" } else { "float32" }.to_owned(),
        number(row.median_ms, 3),
        number(row.iqr_ms, 3),
        number(row.gflops.map(|gflops| gflops / 1e3), 4),
        row.percent_of_ceiling.map_or(String::new(), |percent| format!("{percent:.1} %")),
        number(row.error, 3),
    ])
}

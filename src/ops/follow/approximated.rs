//! The attention of a few queries through landmarks or features of a whole clip.
//!
//! Each approximation is a product of two matrices, so its attention can be written out: `attention = left right`, with
//!
//! - Orthoformer: `left = softmax(q p')`, `right = softmax_f(p k')`;
//! - Nystrom: `left = softmax(q lk') pinv(softmax(lq lk'))`, `right = softmax_f(lq k')`; its entries may be negative;
//! - Performer: `left = phi(q)`, `right = phi(k)'`, each frame divided by its sum.

use super::attention_rows;
use crate::error::{Error, Result};
use crate::kernel::{FeatureAttend, Linear};
use crate::ops::approximation::{Approximation, Approximator, PerformerBuffers, Problem, Sizes};
use crate::ops::chunks::Chunk;
use crate::plan::{PlanBuilder, Role, Stage};
use crate::shape::fits_u32;
use crate::view::View;

/// Columns of the attention for one head.
const COLUMNS: u64 = 64;

/// Appends the attention `[Q,F,S]` of queries `[Q,D]` over the keys `[F,S,D]` of a clip, which are its queries too.
pub(super) fn push(
    builder: &mut PlanBuilder,
    scale: f32,
    approximation: &Approximation,
    [query, keys, attention]: [View; 3],
) -> Result<()> {
    let wrong = |what, given: String, expected: &str| Err(Error::Argument { what, given, expected: expected.to_owned() });
    match approximation {
        Approximation::Orthoformer(prototypes) if prototypes.per_frame => {
            return wrong("prototypes", "per frame".to_owned(), "shared by all frames, to follow a query through them");
        }
        _ if scale <= 0.0 => return wrong("scale", scale.to_string(), "a number above 0"),
        _ => {}
    }
    let size = |view: &View, axis| fits_u32("size of a following", view.size(axis));
    let (queries, frames, patches, head_size) = (size(&query, 0)?, size(&keys, 0)?, size(&keys, 1)?, size(&keys, 2)?);
    let sizes = Sizes { batch: 1, items: 1, heads: 1, frames, patches, head_size };
    let of_clip = keys.join(0).with_axis(0, 1).with_axis(0, 1);
    let clip = Problem { sizes, first_item: 0, items: 1, scale, q: of_clip, k: of_clip, v: of_clip };
    // The queries are further rows, besides those of the clip.
    let asked = Problem { q: query.with_axis(0, 1).with_axis(0, 1), ..clip };
    let chunk = Chunk { first_row: 0, frames: 1, rows: queries };
    let Some(approximator) = Approximator::new(builder, approximation, &sizes, queries)? else { return Ok(()) };
    let mut stages;
    let (landmarks, left) = match &approximator {
        Approximator::Orthoformer { prototypes, mixture } => {
            stages = prototypes.plan(builder, &clip, mixture.landmarks)?;
            let (dispatch, weights) = mixture.weights(builder, &asked, &chunk)?;
            stages.push(Stage::Kernel(dispatch));
            (mixture.landmarks(&clip), weights)
        }
        Approximator::Nystrom(buffers) => {
            let (dispatches, landmarks, inverse) = buffers.pseudo_inverse(builder, &clip)?;
            stages = dispatches.into_iter().map(Stage::Kernel).collect();
            let (dispatch, weights) = buffers.mixture.weights(builder, &asked, &chunk)?;
            stages.push(Stage::Kernel(dispatch));
            let axes = [1, 1, queries, buffers.mixture.count].map(u64::from);
            let product = builder.array("weights of query landmarks", &axes, Role::Scratch)?;
            stages.push(multiply(builder, weights, inverse, product)?);
            (landmarks, product)
        }
        Approximator::Performer(buffers) => {
            for stage in by_features(builder, [&clip, &asked], buffers, &chunk, attention)? {
                builder.push_stage(stage);
            }
            return Ok(());
        }
    };
    let landmarks = landmarks.index(0, 0).index(0, 0);
    let axes = [landmarks.size(0), frames.into(), patches.into()];
    let seen = builder.array("attention of landmarks", &axes, Role::Scratch)?;
    stages.push(Stage::Kernel(attention_rows(builder, scale, [landmarks, keys, seen])?));
    stages.push(multiply(builder, left, seen.join(1), attention.join(1))?);
    stages.into_iter().for_each(|stage| builder.push_stage(stage));
    Ok(())
}

/// Attention by features: what tokens are summed of are the keys' features themselves, some columns at a time.
fn by_features(
    builder: &PlanBuilder,
    [clip, asked]: [&Problem; 2],
    buffers: &PerformerBuffers,
    chunk: &Chunk,
    attention: View,
) -> Result<Vec<Stage>> {
    let mut stages = buffers.key_sums_only(builder, clip)?;
    let (dispatches, queries) = buffers.query_features(builder, asked, chunk)?;
    stages.extend(dispatches.into_iter().map(Stage::Kernel));
    let key_features = clip.by_frame(buffers.features_of_keys(clip)).index(0, 0).index(0, 0);
    let patches = attention.size(2);
    for (heads, columns, first) in [(patches / COLUMNS, COLUMNS, 0), (1, patches % COLUMNS, patches / COLUMNS * COLUMNS)] {
        if heads == 0 || columns == 0 {
            continue;
        }
        // Columns of the attention as heads of so many elements.
        let as_heads = |view: View, axis| view.part(axis, first, heads * columns).split(axis, columns);
        let request = FeatureAttend {
            queries,
            key_values: as_heads(key_features, 1).ordered(&[1, 0, 3, 2]),
            key_sums: buffers.key_sums(clip),
            tokens: as_heads(attention, 2).ordered(&[2, 0, 1, 3]),
        };
        stages.push(Stage::Kernel(builder.make("attention", request)?));
    }
    Ok(stages)
}

/// `out = a b`, of `[..., rows, inputs]` and `[..., inputs, outputs]`, with nothing ahead of them.
fn multiply(builder: &PlanBuilder, a: View, b: View, out: View) -> Result<Stage> {
    let swapped: Vec<usize> = (0..b.rank() - 2).chain([b.rank() - 1, b.rank() - 2]).collect();
    Ok(Stage::Kernel(builder.make("attention", Linear::new(a, b.ordered(&swapped), out))?))
}

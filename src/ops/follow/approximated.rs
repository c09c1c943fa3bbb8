//! The attention of a few queries through landmarks or features of a whole clip.
//!
//! Each approximation is a product of two matrices, so its attention can be written out: `attention = left right`, with
//!
//! - Orthoformer: `left = softmax(q p')`, `right = softmax_f(p k')`;
//! - Nystrom: `left = softmax(q lk') pinv(softmax(lq lk'))`, `right = softmax_f(lq k')`; its entries may be negative;
//! - Performer: `left = phi(q)`, `right = phi(k)'`, each frame divided by its sum.

use super::attention_rows;
use crate::error::{Error, Result};
use crate::ops::approximation::{Approximation, Approximator, PerformerBuffers, Problem, Sizes, Vectors};
use crate::ops::chunks::Chunk;
use crate::params::{FeatureAttendParams, LinearParams};
use crate::plan::{Binding, PlanBuilder, Role, Stage};

/// Columns of the attention that one head takes.
const COLUMNS: u32 = 64;

/// Appends the attention of `queries` over the keys of a clip, which are its queries too.
pub(super) fn push(
    builder: &mut PlanBuilder,
    [queries, frames, patches, head_size]: [u32; 4],
    scale: f32,
    approximation: &Approximation,
    [query, keys, attention]: [Binding; 3],
) -> Result<()> {
    let wrong = |what, given: String, expected: &str| Err(Error::Argument { what, given, expected: expected.to_owned() });
    match approximation {
        Approximation::Orthoformer(prototypes) if prototypes.per_frame => {
            return wrong("prototypes", "per frame".to_owned(), "shared by all frames, to follow a query through them");
        }
        _ if scale <= 0.0 => return wrong("scale", scale.to_string(), "a number above 0"),
        _ => {}
    }
    let sizes = Sizes { batch: 1, items: 1, heads: 1, frames, patches, head_size };
    let vectors = |binding| Vectors { binding, offset: 0, batch_stride: 0, head_stride: 0, row_stride: head_size };
    let (k, q) = (vectors(keys), vectors(query));
    let clip = Problem { sizes, first_item: 0, items: 1, scale, q: k, k, v: k };
    // The queries are rows of their own, beside those of the clip.
    let asked = Problem { q, ..clip };
    let chunk = Chunk { first_row: 0, frames: 1, rows: queries };
    let Some(approximator) = Approximator::new(builder, approximation, &sizes, queries)? else { return Ok(()) };
    let mut stages;
    let (landmarks, count, left) = match &approximator {
        Approximator::Orthoformer { prototypes, mixture } => {
            stages = prototypes.plan(builder, &clip, mixture.landmarks)?;
            let (dispatch, weights) = mixture.weights(builder, &asked, &chunk)?;
            stages.push(Stage::Kernel(dispatch));
            (mixture.landmarks(builder, &clip)?, mixture.count, weights)
        }
        Approximator::Nystrom(buffers) => {
            let (dispatches, landmarks, inverse) = buffers.pseudo_inverse(builder, &clip)?;
            stages = dispatches.into_iter().map(Stage::Kernel).collect();
            let (dispatch, weights) = buffers.mixture.weights(builder, &asked, &chunk)?;
            stages.push(Stage::Kernel(dispatch));
            let count = buffers.mixture.count;
            let product = builder.buffer("weights of query landmarks", &[queries.into(), count.into()], Role::Scratch)?;
            let product = vectors_of(builder.bind_all(product)?, count);
            stages.push(multiply(builder, [queries, count, count], [&weights, &inverse, &product])?);
            (landmarks, count, product)
        }
        Approximator::Performer(buffers) => {
            for stage in by_features(builder, [&clip, &asked], buffers, &chunk, attention)? {
                builder.push_stage(stage);
            }
            return Ok(());
        }
    };
    let seen = builder.buffer("attention of landmarks", &[count.into(), frames.into(), patches.into()], Role::Scratch)?;
    let seen = vectors_of(builder.bind_all(seen)?, frames * patches);
    let rows = attention_rows(builder, [count, frames, patches, head_size], scale, [landmarks.binding, keys, seen.binding])?;
    stages.push(Stage::Kernel(rows));
    let out = vectors_of(attention, frames * patches);
    stages.push(multiply(builder, [queries, count, frames * patches], [&left, &seen, &out])?);
    stages.into_iter().for_each(|stage| builder.push_stage(stage));
    Ok(())
}

/// Attention by features: what tokens are summed of are the keys' features themselves, some columns at a time.
fn by_features(
    builder: &PlanBuilder,
    [clip, asked]: [&Problem; 2],
    buffers: &PerformerBuffers,
    chunk: &Chunk,
    attention: Binding,
) -> Result<Vec<Stage>> {
    let (frames, patches) = (clip.sizes.frames, clip.sizes.patches);
    let mut stages = buffers.key_sums_only(builder, clip)?;
    let (dispatches, features) = buffers.query_features(builder, asked, chunk)?;
    stages.extend(dispatches.into_iter().map(Stage::Kernel));
    for (heads, columns, first) in [(patches / COLUMNS, COLUMNS, 0), (1, patches % COLUMNS, patches / COLUMNS * COLUMNS)] {
        if heads == 0 || columns == 0 {
            continue;
        }
        let params = FeatureAttendParams {
            rows: chunk.count(),
            segments: frames,
            heads,
            value_size: columns,
            kv_offset: first * buffers.features,
            kv_head_stride: COLUMNS * buffers.features,
            out_offset: first,
            out_head_stride: COLUMNS,
            out_row_stride: frames * patches,
            out_segment_stride: patches,
            ..buffers.attention_params(clip)
        };
        let bindings = buffers.attention_bindings(builder, clip, features.binding, attention)?;
        stages.push(Stage::Kernel(builder.dispatch("attention", params, &bindings)?));
    }
    Ok(stages)
}

fn vectors_of(binding: Binding, row_stride: u32) -> Vectors {
    Vectors { binding, offset: 0, batch_stride: 0, head_stride: 0, row_stride }
}

/// `out = a b`, of `[rows, inputs]` and `[inputs, outputs]`.
fn multiply(builder: &PlanBuilder, [rows, inputs, outputs]: [u32; 3], [a, b, out]: [&Vectors; 3]) -> Result<Stage> {
    let params = LinearParams {
        batch: 1,
        groups: 1,
        rows,
        inputs,
        outputs,
        x_row_stride: a.row_stride,
        w_output_stride: 1,
        w_input_stride: b.row_stride,
        y_row_stride: out.row_stride,
        ..LinearParams::plain()
    };
    Ok(Stage::Kernel(builder.dispatch("attention", params, &[a.binding, b.binding, b.binding, b.binding, out.binding])?))
}

//! Weights of the frames: a softmax along every trajectory.

use super::arithmetic::{dot, softmax};
use super::declaration::{count, kernel, looped};
use crate::view::indices;

const WORKGROUP: u32 = 64;

kernel! {
    /// Temporal weights (`temporal_weights`): `weights[b,h,r,f] = softmax_f(scale * queries[b,r,h] . tokens[b,r,f])`.
    TemporalWeights, TemporalWeightsParams, "temporal_weights", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Query rows.
        rows,
        /// Frames.
        frames,
        /// Elements of a query, and of the part of a token that is compared with it.
        width,
    }
    values {
        /// Factor on every score.
        scale: f32,
    }
    read queries as any {
        /// Queries, projected down to the tokens' space.
        queries: [batch, rows, heads; width],
    }
    read tokens as any {
        /// Trajectory tokens.
        tokens: [batch, rows, frames; width],
    }
    write weights {
        /// Weights of the frames follow each other.
        weights: [batch, heads, rows; frames],
    }
    workgroup: WORKGROUP,
    workgroups: count(&[p.batch, p.rows]),
    multiply_adds: count(&[p.batch, p.heads, p.rows, p.frames, p.width]),
    iterations: iterations(p),
    accesses_in_range: true,
    reference: reference,
}

/// The scores of a row are shared out, then the heads are.
fn iterations(p: &TemporalWeightsParams) -> u64 {
    let pairs = count(&[p.heads, p.frames]).div_ceil(WORKGROUP.into());
    let scores = looped(pairs, looped(u64::from(p.width / 16), 0) + looped(u64::from(p.width % 16), 0));
    scores.saturating_add(looped(p.heads.div_ceil(WORKGROUP).into(), 3 * looped(p.frames.into(), 0)))
}

/// Inputs: queries, tokens; output: weights.
fn reference(p: &TemporalWeightsParams, inputs: &[&[f32]], output: &mut [f32]) {
    let &[queries, tokens] = inputs else { return };
    for [batch, head, row] in indices([p.batch, p.heads, p.rows]) {
        let query = p.queries.row(queries, &[batch, row, head], p.width);
        let score = |frame| f64::from(p.scale) * dot(query, p.tokens.row(tokens, &[batch, row, frame], p.width));
        let mut shares: Vec<f64> = (0..p.frames).map(score).collect();
        softmax(&mut shares);
        for (weight, share) in p.weights.row_mut(output, &[batch, head, row], p.frames).iter_mut().zip(shares) {
            *weight = share as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, View};

    #[test]
    fn views_are_what_strides_by_hand_are() {
        // [batch, rows, heads, width], [batch, rows, frames, width] and [batch, heads, rows, frames].
        let of = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        let (queries, tokens) = (of(0, &[2, 5, 3, 8]), of(1, &[2, 5, 4, 8]));
        let (params, bindings) =
            TemporalWeights { queries, tokens, weights: of(2, &[2, 3, 5, 4]), scale: 0.5 }.place().expect("they fit");
        let by_hand = TemporalWeightsParams {
            queries: BoundView::new(0, &[120, 24, 8]),
            tokens: BoundView::new(0, &[160, 32, 8]),
            weights: BoundView::new(0, &[60, 20, 4]),
            batch: 2,
            heads: 3,
            rows: 5,
            frames: 4,
            width: 8,
            scale: 0.5,
        };
        assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&by_hand));
        let ends: Vec<u64> = by_hand.accesses().iter().map(|extent| extent.end).collect();
        assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), ends);
        assert_eq!(ends, [240, 320, 120]);
    }
}

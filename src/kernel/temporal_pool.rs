//! Trajectory tokens summed over the frames.

use super::declaration::{count, kernel, looped};
use crate::view::indices;

const WORKGROUP: u32 = 64;

kernel! {
    /// Pooled tokens (`temporal_pool`): `pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,h,c]`.
    TemporalPool, TemporalPoolParams, "temporal_pool", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Query rows.
        rows,
        /// Frames.
        frames,
        /// Elements pooled for one head.
        width,
    }
    read weights {
        /// Weights of the frames follow each other.
        weights: [batch, heads, rows; frames],
    }
    read tokens as any {
        /// Trajectory tokens. Every head pools the whole token where heads have a stride of zero, else a part of its own.
        tokens: [batch, rows, frames, heads; width],
    }
    write pooled as any {
        /// Pooled tokens, or parts of tokens.
        pooled: [batch, rows, heads; width],
    }
    workgroup: WORKGROUP,
    workgroups: count(&[p.batch, p.rows, p.heads, p.width]).div_ceil(WORKGROUP.into()),
    multiply_adds: count(&[p.batch, p.heads, p.rows, p.frames, p.width]),
    iterations: looped(p.frames.into(), 0),
    accesses_in_range: true,
    reference: reference,
}

/// Inputs: weights, tokens; output: pooled.
fn reference(p: &TemporalPoolParams, inputs: &[&[f32]], output: &mut [f32]) {
    let &[weights, tokens] = inputs else { return };
    for [batch, row, head] in indices([p.batch, p.rows, p.heads]) {
        let weights = p.weights.row(weights, &[batch, head, row], p.frames);
        let mut sums = vec![0.0; p.width as usize];
        for (frame, &weight) in (0..).zip(weights) {
            for (sum, &element) in sums.iter_mut().zip(p.tokens.row(tokens, &[batch, row, frame, head], p.width)) {
                *sum += f64::from(weight) * f64::from(element);
            }
        }
        for (pooled, sum) in p.pooled.row_mut(output, &[batch, row, head], p.width).iter_mut().zip(sums) {
            *pooled = sum as f32;
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
        let of = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        // Tokens [batch, rows, frames, width]: once whole for each of three heads, once a part of four elements a head.
        let tokens = of(1, &[2, 5, 4, 12]);
        let weights = of(0, &[2, 3, 5, 4]);
        for (tokens, width, head_stride) in [(tokens.with_axis(3, 3), 12, 0), (tokens.split(3, 4), 4, 4)] {
            let pooled = of(2, &[2, 5, 3, u64::from(width)]);
            let (params, bindings) = TemporalPool { weights, tokens, pooled }.place().expect("they fit");
            let by_hand = TemporalPoolParams {
                weights: BoundView::new(0, &[60, 20, 4]),
                tokens: BoundView::new(0, &[240, 48, 12, head_stride]),
                pooled: BoundView::new(0, &[15 * width, 3 * width, width]),
                batch: 2,
                heads: 3,
                rows: 5,
                frames: 4,
                width,
            };
            assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&by_hand));
            let ends: Vec<u64> = by_hand.accesses().iter().map(|extent| extent.end).collect();
            assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), ends);
            assert_eq!(ends, [120, 480, 30 * u64::from(width)]);
        }
    }
}

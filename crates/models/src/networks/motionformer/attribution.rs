//! Trajectories: where a patch attends to in each frame, and the share of each frame.

use orthoformer::{Result, Tensors};

use crate::attribution::{Attribution, FrameAttention, Patch, finite, output};
use crate::model::Model;
use crate::networks::{NetworkOutputs, TrajectoryOutputs};

/// What the patch sees, of trajectory attention.
pub(super) fn attribution(patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
    let query = patch.number();
    let wanted = TrajectoryOutputs { block: patch.block, queries: vec![query as u32] };
    let outputs = model.run(&patch.clip, &NetworkOutputs { trajectories: Some(wanted), ..NetworkOutputs::NOTHING })?;
    let (steps, patches) = (patch.grid[0], patch.patches());
    // `[H,1,F,S]`, and of `[H,N,F]` the patch's own.
    let attention = of_heads(patch, &outputs, "attention", 0..steps * patches)?;
    let temporal = of_heads(patch, &outputs, "temporal_weights", query * steps..(query + 1) * steps)?;
    let of_frame =
        |(weights, share): (&[f32], f32)| FrameAttention { weights: weights.to_vec(), share, is_by_construction: false };
    Ok(attention.chunks(patches.max(1)).zip(temporal).map(of_frame).collect::<Vec<_>>().into())
}

/// Part of an output `[1,H,...]`: that of one head, or the mean of all.
fn of_heads(patch: &Patch, outputs: &Tensors, name: &str, part: std::ops::Range<usize>) -> Result<Vec<f32>> {
    let tensor = output(outputs, name)?;
    let size = tensor.shape().iter().skip(2).product::<usize>().max(1);
    let heads = tensor.data().chunks(size).enumerate().filter(|(head, _)| patch.head.is_none_or(|own| own as usize == *head));
    let (mut sums, mut count) = (vec![0.0; part.len()], 0_u32);
    for (_, values) in heads {
        let own = values.get(part.clone()).unwrap_or_default();
        sums.iter_mut().zip(own).for_each(|(sum, &value)| *sum += f64::from(value));
        count += 1;
    }
    finite(sums.into_iter().map(|sum| (sum / f64::from(count.max(1))) as f32).collect())
}

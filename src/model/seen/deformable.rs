//! Deformable attention: a patch sees a few points in each frame of its sub-clip. The weight of each is spread over the four patches round it, as values are
//! bilinear between patches; what falls outside of the picture is left out. Frames of other sub-clips have no share.

use super::super::forward::Network;
use super::{Patch, Seen, by_frames, finite, output, softmax};
use crate::error::Result;
use crate::ops::deformable;

/// What the patch sees, of deformable attention.
pub(super) fn seen(a: &deformable::Architecture, patch: &Patch, network: &Network<'_>) -> Result<Vec<Seen>> {
    let outputs = patch.operands(network)?;
    let [displacements, logits] = ["displacements", "sample_logits"].map(|name| output(&outputs, name));
    let (displacements, logits) = (displacements?, logits?);
    let (samples, sub_clip) = (a.attention.samples as usize, a.sub_clip.max(1) as usize);
    let (count, tokens) = (samples * sub_clip, patch.grid.iter().product::<usize>());
    let first_frame = patch.at[0] - patch.at[0] % sub_clip;
    let mut weights = vec![0.0; tokens];
    let heads = patch.heads(a.attention.heads);
    let share = 1.0 / heads.len().max(1) as f64;
    for head in heads {
        // Both are `[1,H,N,G*P]`, the former with two numbers each.
        let start = (head * tokens + patch.number()) * count;
        let own = logits.data().get(start..start + count).unwrap_or_default();
        let moved = displacements.data().get(2 * start..2 * (start + count)).unwrap_or_default();
        let mut of_samples: Vec<f64> = finite(own.to_vec())?.into_iter().map(f64::from).collect();
        softmax(&mut of_samples);
        for (sample, (weight, moved)) in of_samples.into_iter().zip(finite(moved.to_vec())?.chunks_exact(2)).enumerate() {
            let frame = first_frame + sample / samples;
            let at = [patch.at[1] as f64 + f64::from(moved[1]), patch.at[2] as f64 + f64::from(moved[0])];
            for ([row, column], part) in corners(at, [patch.grid[1], patch.grid[2]]) {
                if let Some(sum) = weights.get_mut(frame * patch.patches() + row * patch.grid[2] + column) {
                    *sum += share * weight * part;
                }
            }
        }
    }
    let weights: Vec<f32> = weights.into_iter().map(|weight: f64| weight as f32).collect();
    Ok(by_frames(&weights, patch.patches()))
}

/// The patches round a point, rows first, and what each has of it: those in a picture of so many.
fn corners(at: [f64; 2], sides: [usize; 2]) -> Vec<([usize; 2], f64)> {
    let around = |axis: usize| {
        let (before, part) = (at[axis].floor(), at[axis] - at[axis].floor());
        [(before, 1.0 - part), (before + 1.0, part)]
            .into_iter()
            .filter(move |&(place, _)| place >= 0.0 && place < sides[axis] as f64)
    };
    let pairs = around(0).flat_map(|row| around(1).map(move |column| (row, column)));
    pairs.map(|((row, a), (column, b))| ([row as usize, column as usize], a * b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_spread_over_the_patches_round_them() {
        assert_eq!(corners([1.25, 2.0], [3, 4]), [([1, 2], 0.75), ([1, 3], 0.0), ([2, 2], 0.25), ([2, 3], 0.0)]);
        assert_eq!(corners([-0.5, 3.5], [3, 4]), [([0, 3], 0.25)]);
        assert!(corners([-1.5, 0.0], [3, 4]).is_empty());
        assert!(corners([1e30, 0.0], [3, 4]).is_empty());
    }
}

//! Deformable attention: a patch sees a few points in each frame of its sub-clip. The weight of each is spread over the four patches round it, as values are
//! bilinear between patches. Beyond the centres of the outermost patches they fade to zero: what is lost there is left out. Frames of other sub-clips have no
//! share.
//!
//! At several scales that is so at each, of the position that covers the patch: what a position is given is spread over the patches that it covers. All scales count
//! alike, as their fusion weighs single elements, not scales.

use orthoformer::{Error, Result, Tensor, Tensors};

use super::{Architecture, Grid, MultiScale};
use crate::attribution::{Attribution, Patch, by_frames, finite, output, softmax};
use crate::model::Model;

/// One scale, seen from the patch.
struct Scale {
    /// What the names of its operands begin with.
    prefix: String,
    /// Patches that a position covers: frames, rows and columns.
    strides: [usize; 3],
    grid: Grid,
    samples: usize,
    heads: u32,
}

/// What the patch sees, of deformable attention, and what people should know about it.
pub(super) fn attribution(a: &Architecture, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
    let outputs = patch.operands(model)?;
    let scales = scales(a)?;
    let mut weights = vec![0.0; patch.grid.iter().product()];
    for scale in &scales {
        scale.add(patch, &outputs, 1.0 / scales.len() as f64, &mut weights)?;
    }
    let lost = 1.0 - weights.iter().sum::<f64>();
    let mut notes = Vec::new();
    if scales.len() > 1 {
        notes.push(format!("What is shown is the mean of {} scales.", scales.len()));
    }
    if lost > 0.005 {
        let percent = 100.0 * lost;
        notes.push(format!(
            "{percent:.0} % of the patch's attention is lost at the edge of the picture, where values fade to zero, and is not shown."
        ));
    }
    let weights: Vec<f32> = weights.into_iter().map(|weight: f64| weight as f32).collect();
    let note = (!notes.is_empty()).then(|| notes.join(" "));
    Ok(Attribution { frames: by_frames(&weights, patch.patches()), note })
}

/// The scales of the network's attention.
fn scales(a: &Architecture) -> Result<Vec<Scale>> {
    let grids = a.attention.grids(a.grid()?)?;
    let all = a.attention.scales.as_ref().map(|several| &several.strides);
    let of = |(number, grid): (usize, Grid)| {
        let strides = all.and_then(|all| all.get(number)).map_or([1; 3], |strides| strides.map(|stride| stride as usize));
        let prefix = if all.is_some() { MultiScale::prefix(number) } else { String::new() };
        Scale { prefix, strides, grid, samples: a.attention.samples as usize, heads: a.attention.heads }
    };
    Ok(grids.into_iter().enumerate().map(of).collect())
}

impl Scale {
    /// Adds to the weights of all patches, frame by frame, what the patch sees at this scale, if that is `share` of all.
    fn add(&self, patch: &Patch, outputs: &Tensors, share: f64, weights: &mut [f64]) -> Result<()> {
        let [displacements, logits] =
            ["displacements", "sample_logits"].map(|name| output(outputs, &format!("{}{name}", self.prefix)));
        let (displacements, logits) = (displacements?, logits?);
        let sub_clip = self.grid.sub_clip as usize;
        let sides = [self.grid.rows as usize, self.grid.columns as usize];
        let at = [0, 1, 2].map(|axis| patch.at[axis] / self.strides[axis]);
        let (count, tokens) = (self.samples * sub_clip, self.grid.tokens() as usize);
        let (token, first_frame) = ((at[0] * sides[0] + at[1]) * sides[1] + at[2], at[0] - at[0] % sub_clip);
        let heads = patch.heads(self.heads);
        let covered = self.strides.iter().product::<usize>() * heads.len();
        for head in heads {
            // Both are `[1,H,N,G*P]`, the former with two values each.
            let start = (head * tokens + token) * count;
            let own = part(logits, start..start + count)?;
            let moved = finite(part(displacements, 2 * start..2 * (start + count))?.to_vec())?;
            let mut of_samples: Vec<f64> = finite(own.to_vec())?.into_iter().map(f64::from).collect();
            softmax(&mut of_samples);
            for (sample, (weight, moved)) in of_samples.into_iter().zip(moved.chunks_exact(2)).enumerate() {
                let point = [at[1] as f64 + f64::from(moved[1]), at[2] as f64 + f64::from(moved[0])];
                for ([row, column], part) in corners(point, sides) {
                    let position = [first_frame + sample / self.samples, row, column];
                    self.spread(position, share * weight * part / covered as f64, patch.grid, weights);
                }
            }
        }
        Ok(())
    }

    /// Adds a weight to each patch that a position covers.
    fn spread(&self, position: [usize; 3], weight: f64, grid: [usize; 3], weights: &mut [f64]) {
        let [frames, rows, columns] =
            [0, 1, 2].map(|axis| position[axis] * self.strides[axis]..(position[axis] + 1) * self.strides[axis]);
        for frame in frames {
            for row in rows.clone() {
                let start = (frame * grid[1] + row) * grid[2];
                let covered = weights.get_mut(start + columns.start..start + columns.end).unwrap_or_default();
                covered.iter_mut().for_each(|sum| *sum += weight);
            }
        }
    }
}

/// Elements of an operand, which has as many as the network's sizes say.
fn part(operand: &Tensor, range: std::ops::Range<usize>) -> Result<&[f32]> {
    let wrong = || Error::WrongShape {
        name: "operands".to_owned(),
        found: operand.shape().to_vec(),
        expected: format!("{} elements at the least", range.end),
    };
    operand.data().get(range.clone()).ok_or_else(wrong)
}

/// The patches round a point, rows first, and what each has of it: those in a picture of so many.
fn corners(at: [f64; 2], sides: [usize; 2]) -> Vec<([usize; 2], f64)> {
    let around = |axis: usize| {
        let (before, part) = (at[axis].floor(), at[axis] - at[axis].floor());
        [(before, 1.0 - part), (before + 1.0, part)]
            .into_iter()
            .filter(move |&(position, _)| position >= 0.0 && position < sides[axis] as f64)
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

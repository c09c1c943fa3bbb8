//! Deformable sampling (Wang and Torresani, 2022): each query looks at `P` points in each of the `G` frames of its
//! sub-clip.
//!
//! ```text
//! out[h,n] = sum_{g,p} softmax_{g,p}(logits[h,n,g,p]) v_h at (x + dx, y + dy) of frame g
//! ```
//!
//! The query `n` is at `(x, y)` of its frame, and `(dx, dy)` is `displacement[h,n,g,p]`, in patches. Sub-clips are
//! consecutive: frame `g` of the query's is frame `f - f % G + g` of the clip. Values are bilinear between patches and
//! zero outside of the grid.

use super::Result;
use super::file::Case;
use super::matrix::softmax;
use super::tensor::Tensor;

/// Sizes of a case.
struct Sizes {
    /// `F`.
    frames: usize,
    /// `Y`.
    rows: usize,
    /// `X`.
    columns: usize,
    /// `D`.
    size: usize,
    /// `G`.
    sub_clip: usize,
    /// `P`.
    samples: usize,
}

/// `out [B,H,F,Y,X,D]` of `v [B,H,F,Y,X,D]`, `logits [B,H,F,Y,X,G,P]` and `displacement [B,H,F,Y,X,G,P,2]`.
pub fn sample(case: &Case) -> Result<Tensor> {
    let v = case.tensor("v")?;
    let [batch, heads, frames, rows, columns, size] = v.sizes("v")?;
    let (sub_clip, samples) = (case.count("sub_clip", None)?, case.count("samples", None)?);
    if !frames.is_multiple_of(sub_clip) {
        return Err(format!("{frames} frames do not divide into sub-clips of {sub_clip}"));
    }
    let of_queries = |last: &[usize]| [&[batch, heads, frames, rows, columns, sub_clip, samples], last].concat();
    let logits = case.shaped("logits", &of_queries(&[]))?;
    let displacement = case.shaped("displacement", &of_queries(&[2]))?;
    let sizes = Sizes { frames, rows, columns, size, sub_clip, samples };
    let tokens = frames * rows * columns;
    let looks = sub_clip * samples;
    let mut out = Vec::with_capacity(v.values.len());
    for head in 0..batch * heads {
        let values = &v.values[head * tokens * size..][..tokens * size];
        for token in 0..tokens {
            let query = head * tokens + token;
            let weights = softmax(&logits.values[query * looks..][..looks]);
            let shifts = &displacement.values[query * looks * 2..][..looks * 2];
            out.extend(sizes.query(token, values, &weights, shifts));
        }
    }
    Ok(Tensor::floats(v.shape.clone(), out))
}

impl Sizes {
    /// The result of one query from the values of its head, the weights `[G,P]` and the displacements `[G,P,2]` of its samples.
    fn query(&self, token: usize, values: &[f64], weights: &[f64], shifts: &[f64]) -> Vec<f64> {
        let (x, y) = (token % self.columns, token / self.columns % self.rows);
        let frame = token / (self.columns * self.rows);
        let mut sum = vec![0.0; self.size];
        for (look, &weight) in weights.iter().enumerate() {
            let seen = frame - frame % self.sub_clip + look / self.samples;
            debug_assert!(seen < self.frames);
            let point = (x as f64 + shifts[2 * look], y as f64 + shifts[2 * look + 1]);
            for (place, share) in self.corners(point) {
                let token = seen * self.rows * self.columns + place;
                let value = &values[token * self.size..][..self.size];
                sum.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight * share * value);
            }
        }
        sum
    }

    /// The patches around a point, with their shares; those outside of the grid left out.
    fn corners(&self, (x, y): (f64, f64)) -> Vec<(usize, f64)> {
        let (left, top) = (x.floor(), y.floor());
        let mut corners = Vec::new();
        for (column, across) in [(left, left + 1.0 - x), (left + 1.0, x - left)] {
            for (row, down) in [(top, top + 1.0 - y), (top + 1.0, y - top)] {
                let inside = (0.0..self.columns as f64).contains(&column) && (0.0..self.rows as f64).contains(&row);
                if inside {
                    corners.push((row as usize * self.columns + column as usize, across * down));
                }
            }
        }
        corners
    }
}

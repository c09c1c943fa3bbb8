//! Attention to given points: `out[b,h,n] = sum_{g,p} softmax_{g,p}(logits[b,h,n,g,p]) v[b,h] at (x + dx, y + dy) of frame g` of the sub-clip of `n =
//! (f,y,x)`, with `(dx, dy) = displacement[b,h,n,g,p]`.
//!
//! Inputs `v [B,H,F,Y,X,D]`, `displacement [B,H,F,Y,X,G,P,2]` in patches, `logits [B,H,F,Y,X,G,P]`; output `out [B,H,F,Y,X,D]`. Whole displacements are
//! centres of patches; between them values are bilinear, outside of the grid zero. A NaN displacement makes its token NaN.

use super::Grid;
use crate::error::{Error, Result};
use crate::ops::tokens::{items_at_once, parts};
use crate::params::DeformableParams;
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::{at_most, fits_u32, product};

/// Sizes of attention to given points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SamplingSpec {
    /// `B`: clips.
    pub batch: u32,
    /// `H`: heads.
    pub heads: u32,
    /// The patches of a clip.
    pub grid: Grid,
    /// `P`: samples of a query in each frame of its sub-clip.
    pub samples: u32,
    /// `D`: numbers of a value.
    pub head_size: u32,
}

impl SamplingSpec {
    /// Whether the sizes fit each other.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::DoesNotDivide`] and [`Error::SizeOverflow`].
    pub fn check(&self) -> Result<()> {
        self.grid.check()?;
        let sizes = [("batch", self.batch), ("heads", self.heads), ("samples", self.samples), ("head size", self.head_size)];
        for (what, size) in sizes {
            if size == 0 {
                return Err(Error::ZeroSize { what });
            }
            at_most(what, size.into(), 1 << 20)?;
        }
        let Grid { sub_clip, .. } = self.grid;
        let displacements =
            product("displacements of one head", &[self.grid.tokens(), sub_clip, self.samples, 2].map(u64::from))?;
        fits_u32("displacements of one head", displacements)?;
        fits_u32("values of one head", product("values of one head", &[self.grid.tokens(), self.head_size].map(u64::from))?)?;
        fits_u32("heads of all batch items", u64::from(self.batch) * u64::from(self.heads))?;
        Ok(())
    }
}

/// Plans attention to given points.
///
/// # Errors
/// Those of [`SamplingSpec::check`]; [`Error::BindingTooLarge`] if the displacements or values of one head exceed a binding.
pub fn plan(spec: &SamplingSpec, limits: PlanLimits) -> Result<Plan> {
    spec.check()?;
    let &SamplingSpec { batch, heads, grid: Grid { frames, rows, columns, sub_clip }, samples, head_size } = spec;
    let mut builder = PlanBuilder::new(limits);
    let places = [batch, heads, frames, rows, columns].map(u64::from);
    let mut buffer = |name: &str, inner: &[u32], role| {
        let shape: Vec<u64> = places.into_iter().chain(inner.iter().map(|&size| size.into())).collect();
        builder.buffer(name, &shape, role)
    };
    let v = buffer("v", &[head_size], Role::Input)?;
    let displacement = buffer("displacement", &[sub_clip, samples, 2], Role::Input)?;
    let logits = buffer("logits", &[sub_clip, samples], Role::Input)?;
    let out = buffer("out", &[head_size], Role::Output)?;
    let (tokens, drawn) = (spec.grid.tokens(), sub_clip * samples);
    let largest = u64::from(tokens) * u64::from(head_size.max(2 * drawn));
    // Heads of all clips count as clips of one head here.
    for (first, items) in parts(batch * heads, items_at_once(&limits, batch * heads, largest)) {
        let bind = |buffer, row: u32| {
            let item = u64::from(tokens) * u64::from(row);
            builder.bind(buffer, u64::from(first) * item, u64::from(items) * item)
        };
        let ((v, v_offset), (out, out_offset)) = (bind(v, head_size)?, bind(out, head_size)?);
        let ((displaced, displacement_offset), (scored, logit_offset)) = (bind(displacement, 2 * drawn)?, bind(logits, drawn)?);
        let params = DeformableParams {
            batch: items,
            heads: 1,
            frames,
            grid_rows: rows,
            grid_columns: columns,
            sub_clip,
            samples,
            head_size,
            v_offset,
            v_batch_stride: tokens * head_size,
            v_token_stride: head_size,
            displacement_offset,
            displacement_batch_stride: tokens * 2 * drawn,
            displacement_token_stride: 2 * drawn,
            logit_offset,
            logit_batch_stride: tokens * drawn,
            logit_token_stride: drawn,
            out_offset,
            out_batch_stride: tokens * head_size,
            out_token_stride: head_size,
            ..DeformableParams::default()
        };
        builder.push("samples", params, &[v, displaced, scored, out])?;
    }
    Ok(builder.build())
}

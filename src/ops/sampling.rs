//! Attention to given points: `out[b,h,n] = sum_{g,p} softmax_{g,p}(logits[b,h,n,g,p]) v[b,h] at (x + dx, y + dy) of frame g` of the sub-clip of `n =
//! (f,y,x)`, with `(dx, dy) = displacement[b,h,n,g,p]`.
//!
//! Inputs `v [B,H,F,Y,X,D]`, `displacement [B,H,F,Y,X,G,P,2]` in patches, `logits [B,H,F,Y,X,G,P]`; output `out [B,H,F,Y,X,D]`. Whole displacements are
//! centres of patches; between them values are bilinear, outside of the grid zero. A NaN displacement makes its token NaN.

use super::kit::{Budget, Clips};
use crate::error::{Error, Result};
use crate::kernel::Deformable;
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::{at_most, divided, fits_u32, in_range, product};
use crate::view::View;

/// The patches of a clip and its sub-clips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    /// `F`: frames of patches.
    pub frames: u32,
    /// `Y`: patches from top to bottom.
    pub rows: u32,
    /// `X`: patches from left to right.
    pub columns: u32,
    /// `G`: frames of a sub-clip, in which queries see each other.
    pub sub_clip: u32,
}

impl Grid {
    /// `N = F*Y*X`: tokens of a clip, `u32::MAX` at the most.
    pub fn tokens(&self) -> u32 {
        self.frames.saturating_mul(self.rows).saturating_mul(self.columns)
    }

    /// Frames, rows and columns.
    pub fn sides(&self) -> [u64; 3] {
        [self.frames, self.rows, self.columns].map(u64::from)
    }

    /// Whether the sub-clips fill it and its tokens can be counted.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::DoesNotDivide`] and [`Error::SizeOverflow`].
    pub fn check(&self) -> Result<()> {
        in_range(&[
            ("frames", self.frames, 1 << 14),
            ("grid rows", self.rows, 1 << 14),
            ("grid columns", self.columns, 1 << 14),
        ])?;
        divided("frames", self.frames, "frames of a sub-clip", self.sub_clip)?;
        let tokens = product("tokens of a clip", &[self.frames, self.rows, self.columns].map(u64::from))?;
        fits_u32("tokens of a clip", tokens)?;
        Ok(())
    }

    /// The grid of a scale, whose sub-clips are as long.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] and [`Error::DoesNotDivide`] for strides that do not divide it and its sub-clips.
    pub fn coarser(&self, [depth, height, width]: [u32; 3]) -> Result<Self> {
        Ok(Self {
            frames: divided("frames", self.frames, "stride along time", depth)?,
            rows: divided("grid rows", self.rows, "stride from top to bottom", height)?,
            columns: divided("grid columns", self.columns, "stride from left to right", width)?,
            sub_clip: divided("frames of a sub-clip", self.sub_clip, "stride along time", depth)?,
        })
    }
}

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
    /// `D`: elements of a value.
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
    let &SamplingSpec { grid, samples, .. } = spec;
    let Grid { frames, rows: grid_rows, columns: grid_columns, sub_clip } = grid;
    let mut builder = PlanBuilder::new(limits);
    let [batch, heads, tokens, size] = [spec.batch, spec.heads, grid.tokens(), spec.head_size].map(u64::from);
    let [of_sub_clip, of_frame] = [sub_clip, samples].map(u64::from);
    let [clip_frames, rows, columns] = grid.sides();
    // Heads of all clips count as clips of one head here.
    let all = batch * heads;
    let mut array = |name: &str, inner: &[u64], role| -> Result<View> {
        let shape: Vec<u64> = [batch, heads, clip_frames, rows, columns].iter().chain(inner).copied().collect();
        Ok(View::of(builder.buffer(name, &shape, role)?, &[all, 1, tokens, inner.iter().product()]))
    };
    let values = array("v", &[size], Role::Input)?;
    let displacements = array("displacement", &[of_sub_clip, of_frame, 2], Role::Input)?;
    let logits = array("logits", &[of_sub_clip, of_frame], Role::Input)?;
    let out = array("out", &[size], Role::Output)?;
    let largest = values.stride(0).max(displacements.stride(0));
    for items in Clips::parts(all, Budget::of_scratch(&limits).items(largest, all)) {
        let [values, displacements, logits, tokens] = [values, displacements, logits, out].map(|view| items.of(view));
        let request = Deformable { values, displacements, logits, tokens, samples, frames, sub_clip, grid_rows, grid_columns };
        builder.launch("samples", request)?;
    }
    Ok(builder.build())
}

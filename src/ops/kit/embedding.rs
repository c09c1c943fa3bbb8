//! Patches of a clip to tokens.

use super::budget::{Budget, parts};
use super::dense::{Product, Projection};
use crate::error::Result;
use crate::kernel::Patchify;
use crate::plan::{PlanBuilder, Role};
use crate::shape::fits_u32;
use crate::view::View;

/// A convolution whose steps are as long as its weights: a token for each patch of a clip.
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    /// `[batch, channels, frames, height, width]`.
    pub clip: View,
    /// Frames, height and width of a patch.
    pub patch: [u64; 3],
    /// Patches along time, from top to bottom and from left to right. Beyond the clip there are zeros; pixels that no patch covers are not read.
    pub grid: [u64; 3],
    /// Tokens ahead of the patches' that are nothing but their bias: 1 for a class token, else 0.
    pub skip: u32,
    /// `[outputs, elements of a patch]`, and a bias for all tokens or each.
    pub projection: Projection,
}

/// Adds the weights `NAME [outputs, channels, depth, height, width]`, or without the depth where they are published in two dimensions:
/// `[outputs, elements of a patch]`.
///
/// # Errors
/// Those of [`PlanBuilder::buffer`].
pub fn patch_weight(builder: &mut PlanBuilder, name: &str, axes: [u64; 5], two_dimensional: bool) -> Result<View> {
    let [outputs, channels, depth, height, width] = axes;
    let flat = [outputs, channels, height, width];
    let published: &[u64] = if two_dimensional { &flat } else { &axes };
    let weight = builder.buffer(name, published, Role::Input)?;
    Ok(View::of(weight, &[outputs, channels * depth * height * width]))
}

impl Embedding {
    /// `y = patches W' + bias` for all tokens of `y [batch, tokens, outputs]`.
    ///
    /// # Errors
    /// [`crate::Error::SizeOverflow`] for a grid above 32 bits; those of [`PlanBuilder::launch`].
    pub fn push(&self, builder: &mut PlanBuilder, y: View) -> Result<()> {
        let (batch, tokens, row) = (y.size(0), y.size(1), self.projection.weight.size(1));
        let together = Budget::of_scratch(builder.limits()).items(tokens.saturating_mul(row), batch);
        let patches = builder.array("patches", &[together, tokens, row], Role::Scratch)?;
        let product = Product::new("embedding", self.projection);
        for (first, items) in parts(batch, together) {
            let own = patches.part(0, 0, items);
            builder.launch("cuboids", self.patchify(self.clip.part(0, first, items), own)?)?;
            product.push(builder, own, y.part(0, first, items))?;
        }
        builder.release(&[patches.buffer()])
    }

    /// Cuts a clip into the rows of `patches [batch, tokens, elements of a patch]`.
    fn patchify(&self, clip: View, patches: View) -> Result<Patchify> {
        let [_, height, width] = self.patch;
        let [frames, grid_rows, grid_columns] = self.grid.map(|size| fits_u32("patches along an axis", size));
        // Channels, frames, rows and columns of each.
        let patches = patches.join(0).split(1, self.patch.iter().product()).split(2, height * width).split(3, width);
        Ok(Patchify { clip, patches, frames: frames?, grid_rows: grid_rows?, grid_columns: grid_columns?, skip: self.skip })
    }
}

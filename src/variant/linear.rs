//! Versions of the matrix product.

use super::{Need, Suited, Variant, VariantRow, Wanted, require_multiple_of_4};
use crate::kernel::linear::{BLOCKS_TILE, BROADCAST_ROWS, COOPERATIVE_DEPTH, TILES_DEPTH};
use crate::kernel::{Activation, Kernel, LinearParams, count, looped};
use crate::plan::{Dispatch, Element};

pub(super) static BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Broadcast,
    stem: "linear_broadcast",
    source: include_str!("../../shaders/linear_broadcast.wgsl"),
    constants: &["LANES", "W_ACROSS"],
    examples: &[(&[8, 0], 8), (&[32, 1], 32)],
    needs: &[Need::Subgroups],
    tiles: &[],
    suit: broadcast,
};

fn broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: LinearParams = wanted.params();
    let across = vectors(&p)?;
    let lanes = wanted.capabilities.subgroup_of(8)?;
    let inputs = u64::from(p.inputs.div_ceil(4));
    Ok(Suited {
        tile: None,
        constants: vec![lanes, across],
        workgroups: count(&[p.rows.div_ceil(BROADCAST_ROWS), p.outputs.div_ceil(4 * lanes), p.groups, p.batch]),
        // Bottom-tested; or the loops for subgroups of another size, which are tested even if they are never entered.
        iterations: (inputs + 8).max(looped(BROADCAST_ROWS.into(), looped(inputs, 0))),
    })
}

pub(super) static BLOCKS: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Blocks,
    stem: "linear_blocks",
    source: include_str!("../../shaders/linear_blocks.wgsl"),
    constants: &["W_ACROSS"],
    examples: &[(&[0], 64), (&[1], 64)],
    needs: &[],
    tiles: &[],
    suit: blocks,
};

fn blocks(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: LinearParams = wanted.params();
    Ok(Suited {
        tile: None,
        constants: vec![vectors(&p)?],
        workgroups: count(&[p.rows.div_ceil(BLOCKS_TILE), p.outputs.div_ceil(BLOCKS_TILE), p.groups, p.batch]),
        iterations: p.inputs.div_ceil(4).into(),
    })
}

pub(super) static TILES: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Tiles,
    stem: "linear_tiles",
    source: include_str!("../../shaders/linear_tiles.wgsl"),
    constants: &["W_ACROSS", "ROW_VEC4S", "OUTPUT_VEC4S"],
    examples: &[(&[0, 1, 1], 256), (&[0, 2, 2], 256), (&[1, 1, 2], 256), (&[1, 2, 1], 256)],
    needs: &[],
    tiles: &["128x128", "128x64", "64x128", "64x64"],
    suit: tiles,
};

/// The row's tiles, in vectors of rows and of outputs an invocation, each with what a multiply-add takes in percent of the largest's
/// time: smaller register blocks read more workgroup memory for as many multiply-adds. Estimated, not measured.
const TILE_SIZES: [([u32; 2], u64); 4] = [([2, 2], 100), ([2, 1], 112), ([1, 2], 112), ([1, 1], 132)];
/// Multiprocessors of a large GPU. The last round of workgroups leaves some idle; on small GPUs there are so many rounds that it does not matter.
const MULTIPROCESSORS: u64 = 132;

fn tiles(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: LinearParams = wanted.params();
    let across = vectors(&p)?;
    wanted.capabilities.workgroup_size(256)?;
    let workgroups =
        |[rows, outputs]: [u32; 2]| count(&[p.rows.div_ceil(64 * rows), p.outputs.div_ceil(64 * outputs), p.groups, p.batch]);
    let time = |([rows, outputs], percent): ([u32; 2], u64)| {
        let rounds = workgroups([rows, outputs]).div_ceil(MULTIPROCESSORS);
        rounds.saturating_mul(u64::from(rows * outputs) * percent)
    };
    let fits = |[rows, outputs]: [u32; 2]| wanted.capabilities.workgroup_memory((rows + outputs) * 4096).is_ok();
    let sizes =
        TILE_SIZES.into_iter().enumerate().filter(|(tile, (size, _))| fits(*size) && wanted.tile.is_none_or(|one| one == *tile));
    let best = sizes.min_by_key(|&(_, size)| time(size));
    let (tile, ([rows, outputs], _)) = best.ok_or("needs 8 KiB of workgroup memory, and up to 16 for larger tiles")?;
    Ok(Suited {
        tile: Some(tile),
        constants: vec![across, rows, outputs],
        workgroups: workgroups([rows, outputs]),
        iterations: looped(p.inputs.div_ceil(TILES_DEPTH).into(), looped((TILES_DEPTH / 4).into(), 0)),
    })
}

pub(super) static COOPERATIVE: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Cooperative,
    stem: "linear_cooperative",
    source: include_str!("../../shaders/linear_cooperative.wgsl"),
    constants: &["LANES", "SIDE", "W_ACROSS"],
    examples: &[(&[8, 8, 0], 64), (&[32, 16, 1], 256), (&[64, 16, 0], 512)],
    needs: &[Need::Matrices, Need::Subgroups, Need::Half],
    tiles: &[],
    suit: cooperative,
};

fn cooperative(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: LinearParams = wanted.params();
    stored_as_half(wanted.dispatch, 2)?;
    let across = vectors(&p)?;
    let (lanes, side) = wanted.capabilities.matrices(8)?;
    wanted.capabilities.workgroup_memory(1280 * side + 32 * side * side)?;
    let plain = looped((8 * side * side).div_ceil(4 * lanes).into(), looped(p.inputs.div_ceil(4).into(), 0));
    let brought = looped((8 * side).div_ceil(lanes).into(), 0);
    let matrices =
        looped(p.inputs.div_ceil(COOPERATIVE_DEPTH).into(), 2 * brought + looped((COOPERATIVE_DEPTH / side).into(), 0));
    let stores = 8 * looped((side * side).div_ceil(4 * lanes).into(), 0);
    Ok(Suited {
        tile: None,
        constants: vec![lanes, side, across],
        workgroups: count(&[p.rows.div_ceil(8 * side), p.outputs.div_ceil(8 * side), p.groups, p.batch]),
        // A loop that is passed over takes an iteration all the same.
        iterations: (plain + 1).max(brought + matrices + stores + 1),
    })
}

/// Checks that the first `count` bindings are stored as float16.
pub(super) fn stored_as_half(dispatch: &Dispatch, count: usize) -> Result<(), String> {
    let other =
        dispatch.elements.iter().zip(dispatch.kernel.row().bindings).take(count).find(|(element, _)| **element != Element::F16);
    match other {
        None => Ok(()),
        Some((element, row)) => {
            Err(format!("multiplies operands that are stored as f16, {} is stored as {element} here", row.name))
        }
    }
}

/// Whether operands can be read as vectors of four, and which way `w` is stored.
fn vectors(p: &LinearParams) -> Result<u32, String> {
    // They end small products, and would be compiled into every store of the large blocks.
    if p.activation > Activation::GeluFast.number() {
        return Err("has GELU only: tanh and ReLU are left to the baseline".to_owned());
    }
    fours(&[("inputs", p.inputs), ("outputs", p.outputs)])?;
    // Strides within a matrix are looked at below.
    let (x, w) = (p.x.with_stride(3, 0), p.w.with_stride(2, 0).with_stride(3, 0));
    require_multiple_of_4(&[("x", &x), ("w", &w), ("y", &p.y)])?;
    if p.has_bias != 0 {
        require_multiple_of_4(&[("bias", &p.bias)])?;
    }
    if p.has_residual != 0 {
        require_multiple_of_4(&[("residual", &p.residual)])?;
    }
    if p.x.stride(3) != 1 {
        return Err(format!("needs rows of x without gaps, the inputs are {} apart", p.x.stride(3)));
    }
    match (p.w.stride(2), p.w.stride(3)) {
        (rows, 1) if rows % 4 == 0 => Ok(0),
        (1, columns) if columns % 4 == 0 => Ok(1),
        (rows, columns) => Err(format!(
            "needs w without gaps and a stride that is a multiple of four; outputs are {rows} apart, inputs {columns}"
        )),
    }
}

/// Checks that all are multiples of four.
pub(super) fn fours(numbers: &[(&str, u32)]) -> Result<(), String> {
    match numbers.iter().find(|(_, number)| number % 4 != 0) {
        None => Ok(()),
        Some((name, number)) => Err(format!("needs multiples of four, {name} is {number}")),
    }
}

//! Versions of the matrix product.

use super::{Need, Suited, Variant, VariantRow, Wanted};
use crate::kernel::Kernel;
use crate::params::{Activation, LinearParams, count, looped};
use crate::plan::{Dispatch, Element};

pub(super) static BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Broadcast,
    stem: "linear_broadcast",
    source: include_str!("../../shaders/linear_broadcast.wgsl"),
    constants: &["LANES", "W_ACROSS"],
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
        workgroups: count(&[p.rows.div_ceil(64), p.outputs.div_ceil(4 * lanes), p.groups, p.batch]),
        // Bottom-tested; or the loops for subgroups of another size, which are tested even if they are never entered.
        iterations: (inputs + 8).max(looped(64, looped(inputs, 0))),
    })
}

pub(super) static BLOCKS: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Blocks,
    stem: "linear_blocks",
    source: include_str!("../../shaders/linear_blocks.wgsl"),
    constants: &["W_ACROSS"],
    needs: &[],
    tiles: &[],
    suit: blocks,
};

fn blocks(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: LinearParams = wanted.params();
    Ok(Suited {
        tile: None,
        constants: vec![vectors(&p)?],
        workgroups: count(&[p.rows.div_ceil(128), p.outputs.div_ceil(128), p.groups, p.batch]),
        iterations: p.inputs.div_ceil(4).into(),
    })
}

pub(super) static TILES: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Tiles,
    stem: "linear_tiles",
    source: include_str!("../../shaders/linear_tiles.wgsl"),
    constants: &["W_ACROSS", "ROW_FOURS", "OUTPUT_FOURS"],
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
        iterations: looped(p.inputs.div_ceil(16).into(), looped(4, 0)),
    })
}

pub(super) static COOPERATIVE: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Cooperative,
    stem: "linear_cooperative",
    source: include_str!("../../shaders/linear_cooperative.wgsl"),
    constants: &["LANES", "SIDE", "W_ACROSS"],
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
    let matrices = looped(p.inputs.div_ceil(32).into(), 2 * brought + looped((32 / side).into(), 0));
    let stores = 8 * looped((side * side).div_ceil(4 * lanes).into(), 0);
    Ok(Suited {
        tile: None,
        constants: vec![lanes, side, across],
        workgroups: count(&[p.rows.div_ceil(8 * side), p.outputs.div_ceil(8 * side), p.groups, p.batch]),
        // A loop that is passed over takes a turn all the same.
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
    let strides = [
        ("inputs", p.inputs),
        ("outputs", p.outputs),
        ("x offset", p.x_offset),
        ("x batch stride", p.x_batch_stride),
        ("x group stride", p.x_group_stride),
        ("x row stride", p.x_row_stride),
        ("w offset", p.w_offset),
        ("w batch stride", p.w_batch_stride),
        ("w group stride", p.w_group_stride),
        ("y offset", p.y_offset),
        ("y batch stride", p.y_batch_stride),
        ("y group stride", p.y_group_stride),
        ("y row stride", p.y_row_stride),
    ];
    let bias = [
        ("bias offset", p.bias_offset),
        ("bias batch stride", p.bias_batch_stride),
        ("bias group stride", p.bias_group_stride),
        ("bias row stride", p.bias_row_stride),
    ];
    fours(&strides)?;
    let residual = [
        ("residual offset", p.residual_offset),
        ("residual batch stride", p.residual_batch_stride),
        ("residual group stride", p.residual_group_stride),
        ("residual row stride", p.residual_row_stride),
    ];
    if p.has_bias != 0 {
        fours(&bias)?;
    }
    if p.has_residual != 0 {
        fours(&residual)?;
    }
    if p.x_input_stride != 1 {
        return Err(format!("needs rows of x without gaps, the inputs are {} apart", p.x_input_stride));
    }
    match (p.w_output_stride, p.w_input_stride) {
        (rows, 1) if rows % 4 == 0 => Ok(0),
        (1, columns) if columns % 4 == 0 => Ok(1),
        (rows, columns) => Err(format!("needs w without gaps and a stride of fours; outputs are {rows} apart, inputs {columns}")),
    }
}

/// Checks that all are multiples of four.
pub(super) fn fours(numbers: &[(&str, u32)]) -> Result<(), String> {
    match numbers.iter().find(|(_, number)| number % 4 != 0) {
        None => Ok(()),
        Some((name, number)) => Err(format!("needs multiples of four, {name} is {number}")),
    }
}

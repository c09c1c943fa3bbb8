//! Variants of the matrix product.

use super::{LaunchConfig, LaunchRequest, Need, Variant, VariantRow, require_aligned_views, require_multiple_of_4};
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
    configure: broadcast,
};

fn broadcast(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: LinearParams = request.params();
    let across = vectors(&p)?;
    let lanes = request.capabilities.subgroup_of(8)?;
    let inputs = u64::from(p.inputs.div_ceil(4));
    Ok(LaunchConfig {
        tile: None,
        constants: vec![lanes, across],
        workgroups: count(&[p.rows.div_ceil(BROADCAST_ROWS), p.outputs.div_ceil(4 * lanes), p.groups, p.batch]),
        // The bottom-tested loop, or those for subgroups of another size: a loop that is skipped counts as an iteration.
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
    configure: blocks,
};

fn blocks(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: LinearParams = request.params();
    Ok(LaunchConfig {
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
    configure: tiles,
};

/// Tile sizes of the row, in vectors of rows and of outputs an invocation, each with the time of a multiply-add in percent of the largest
/// tile's: smaller register blocks read more workgroup memory for each. Estimated, not measured.
const TILE_SIZES: [([u32; 2], u64); 4] = [([2, 2], 100), ([2, 1], 112), ([1, 2], 112), ([1, 1], 132)];
/// Multiprocessors of a large GPU. The last wave of workgroups leaves some idle; on small GPUs there are so many waves that it hardly matters.
const MULTIPROCESSORS: u64 = 132;

fn tiles(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: LinearParams = request.params();
    let across = vectors(&p)?;
    request.capabilities.workgroup_size(256)?;
    let workgroups =
        |[rows, outputs]: [u32; 2]| count(&[p.rows.div_ceil(64 * rows), p.outputs.div_ceil(64 * outputs), p.groups, p.batch]);
    let time = |([rows, outputs], percent): ([u32; 2], u64)| {
        let rounds = workgroups([rows, outputs]).div_ceil(MULTIPROCESSORS);
        rounds.saturating_mul(u64::from(rows * outputs) * percent)
    };
    let fits = |[rows, outputs]: [u32; 2]| request.capabilities.workgroup_memory((rows + outputs) * 4096).is_ok();
    let sizes =
        TILE_SIZES.into_iter().enumerate().filter(|(tile, (size, _))| fits(*size) && request.tile.is_none_or(|one| one == *tile));
    let best = sizes.min_by_key(|&(_, size)| time(size));
    let (tile, ([rows, outputs], _)) = best.ok_or("needs 8 KiB of workgroup memory, and up to 16 for larger tiles")?;
    Ok(LaunchConfig {
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
    configure: cooperative,
};

fn cooperative(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: LinearParams = request.params();
    stored_as_half(request.dispatch, 2)?;
    let across = vectors(&p)?;
    let (lanes, side) = request.capabilities.matrices(8)?;
    request.capabilities.workgroup_memory(1280 * side + 32 * side * side)?;
    let plain = looped((8 * side * side).div_ceil(4 * lanes).into(), looped(p.inputs.div_ceil(4).into(), 0));
    let brought = looped((8 * side).div_ceil(lanes).into(), 0);
    let matrices =
        looped(p.inputs.div_ceil(COOPERATIVE_DEPTH).into(), 2 * brought + looped((COOPERATIVE_DEPTH / side).into(), 0));
    let stores = 8 * looped((side * side).div_ceil(4 * lanes).into(), 0);
    Ok(LaunchConfig {
        tile: None,
        constants: vec![lanes, side, across],
        workgroups: count(&[p.rows.div_ceil(8 * side), p.outputs.div_ceil(8 * side), p.groups, p.batch]),
        // A loop that is skipped counts as an iteration.
        iterations: (plain + 1).max(brought + matrices + stores + 1),
    })
}

pub(super) static ROWS: VariantRow = VariantRow {
    kernel: Kernel::Linear,
    variant: Variant::Rows,
    stem: "linear_rows",
    source: include_str!("../../shaders/linear_rows.wgsl"),
    constants: &["ROWS", "W_ACROSS"],
    examples: &[(&[1, 0], 64), (&[8, 1], 64)],
    needs: &[],
    tiles: &[],
    configure: rows,
};

/// Most rows of a product that takes all of them in an invocation.
const FEW_ROWS: u32 = 8;

fn rows(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: LinearParams = request.params();
    if p.rows > FEW_ROWS {
        return Err(format!("takes up to {FEW_ROWS} rows, these are {}", p.rows));
    }
    let across = operands_as_vectors(&p)?;
    request.capabilities.workgroup_memory(p.rows * 1024)?;
    let quads = if across == 1 { 16 } else { 4 };
    let parts = 64 / quads;
    Ok(LaunchConfig {
        tile: None,
        constants: vec![p.rows, across],
        workgroups: count(&[p.outputs.div_ceil(4 * quads), p.groups, p.batch]),
        iterations: looped(p.inputs.div_ceil(4 * parts).into(), 0)
            + looped((p.rows * quads).div_ceil(64).into(), looped(parts.into(), 0)),
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

/// Checks that operands can be read as vectors of four. Returns `W_ACROSS`: 1 if outputs follow each other in `w`, 0 if inputs do.
fn vectors(p: &LinearParams) -> Result<u32, String> {
    // Other activations are epilogues of small products, and would be compiled into every store of the large blocks.
    if p.activation > Activation::GeluFast.number() {
        return Err("has GELU only: tanh and ReLU are left to the baseline".to_owned());
    }
    require_aligned_views(&[("y", &p.y)])?;
    if p.has_bias != 0 {
        require_aligned_views(&[("bias", &p.bias)])?;
    }
    if p.has_residual != 0 {
        require_aligned_views(&[("residual", &p.residual)])?;
    }
    operands_as_vectors(p)
}

/// The same of `x` and `w` alone.
fn operands_as_vectors(p: &LinearParams) -> Result<u32, String> {
    require_multiple_of_4(&[("inputs", p.inputs), ("outputs", p.outputs)])?;
    // Strides within a matrix are checked below.
    let (x, w) = (p.x.with_stride(3, 0), p.w.with_stride(2, 0).with_stride(3, 0));
    require_aligned_views(&[("x", &x), ("w", &w)])?;
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

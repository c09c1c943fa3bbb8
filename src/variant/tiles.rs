//! Tile sizes of attention in workgroup memory (`shaders/lib/tiles.wgsl`).

use super::LaunchRequest;
use crate::kernel::looped;

/// A workgroup of 16 x `columns` invocations that has `64 * row_vec4s` queries and takes `4 * columns * key_vec4s` keys at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileSize {
    pub columns: u32,
    /// Vectors of rows of an invocation.
    pub row_vec4s: u32,
    /// Vectors of keys of an invocation.
    pub key_vec4s: u32,
}

/// Registers of an invocation beside its blocks, at the most that a compiler took for one of these shaders without keeping any in memory
/// (`benches/record/compilers.csv`).
const OTHER_REGISTERS: u32 = 72;

impl TileSize {
    pub const fn new(columns: u32, row_vec4s: u32, key_vec4s: u32) -> Self {
        Self { columns, row_vec4s, key_vec4s }
    }

    pub fn invocations(self) -> u32 {
        16 * self.columns
    }

    /// Vectors of a value that an invocation has.
    pub fn value_vec4s(self, value_size: u32) -> Result<u32, String> {
        let vec4s = value_size.div_ceil(4 * self.columns);
        match vec4s <= 4 {
            true => Ok(vec4s),
            false => Err(format!("takes values of up to {} elements, these have {value_size}", 16 * self.columns)),
        }
    }

    /// Registers that an invocation takes: blocks of 4 x 4 scores and sums, parts of their biases, and what is beside them.
    fn registers(self, value_vec4s: u32, has_biases: bool) -> u32 {
        let biases = if has_biases { 8 * self.key_vec4s } else { 0 };
        16 * self.row_vec4s * (self.key_vec4s + value_vec4s) + biases + OTHER_REGISTERS
    }

    /// Both tiles, units of queries and keys, bases of rows, and two flags.
    pub fn workgroup_bytes(self, value_vec4s: u32) -> u32 {
        let row_tile = 16 * 16 * 16 * self.row_vec4s;
        let column_tile = 16 * 16 * self.columns * self.key_vec4s.max(value_vec4s);
        row_tile + column_tile + 2 * 256 * self.row_vec4s + 16 * self.columns * self.key_vec4s + 8
    }

    /// Most iterations of an invocation that goes through so many keys plainly and then in parts.
    pub fn iterations(self, keys: u64, head_size: u32, has_values: bool) -> u64 {
        let columns = looped(self.columns.into(), 0);
        let product = looped(u64::from(head_size).div_ceil(16), looped(4, 0) + 2 * looped(4, 0));
        let shared = u64::from(self.row_vec4s) * columns;
        let slices = u64::from(self.columns * self.key_vec4s / 4);
        let values = if has_values { looped(slices, looped(4, 0)) } else { 0 };
        let measured = looped((head_size / 4).into(), 0);
        let plain = looped(1, product) + shared + values;
        let parts = measured + looped(3, product) + 2 * shared + values;
        let tiles = keys.div_ceil((4 * self.columns * self.key_vec4s).into());
        looped(2, 0) + looped(tiles, plain) + looped(tiles, parts) + looped(4, columns) + measured + 2 * shared
    }
}

/// Index of the first size whose blocks fit an invocation's registers, or of the one that needs fewest.
pub(super) fn fitting(request: &LaunchRequest<'_>, sizes: &[TileSize], value_size: u32, has_biases: bool) -> usize {
    let needed = |size: &TileSize| size.value_vec4s(value_size).map_or(u32::MAX, |values| size.registers(values, has_biases));
    let fits = |size: &TileSize| {
        let has = request.capabilities;
        let memory = size.value_vec4s(value_size).is_ok_and(|values| has.workgroup_memory(size.workgroup_bytes(values)).is_ok());
        needed(size) <= has.registers && has.workgroup_size(size.invocations()).is_ok() && memory
    };
    let fewest = || sizes.iter().enumerate().min_by_key(|(_, size)| needed(size)).map_or(0, |(index, _)| index);
    sizes.iter().position(fits).unwrap_or_else(fewest)
}

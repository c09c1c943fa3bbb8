//! Copies of chosen rows.

use super::arithmetic::{dot, unit_factor};
use super::declaration::{count, kernel, looped};
use crate::shape::{MAX_CANDIDATES, MAX_LOOP};
use crate::view::indices;

const WORKGROUP: u32 = 64;

kernel! {
    /// Copies of chosen rows (`gather_rows`): `copies[g,i] = candidates[g, indices[g,i]]`, scaled to length one if asked for. Candidates are rows
    /// of one buffer and, where there are keys, those of another behind them. Copies are written as rows, or in *blocks of four columns* with
    /// zeros behind the row's own: then neighbouring copies are neighbours in memory.
    GatherRows, GatherRowsParams, "gather_rows", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Groups in a head.
        groups,
        /// Rows copied in each group.
        rows,
        /// Elements of a row.
        row_size "row size" <= p.padded_size(),
        /// Candidates that are queries: indices below this.
        query_count "queries",
        /// Candidates that are keys: the indices that follow. Ignored without keys.
        key_count "keys",
        /// Blocks of four columns. Ignored if copies are rows.
        blocks,
    }
    checks {
        "candidates": p.candidates() => MAX_CANDIDATES,
        "padded row size": p.padded_size() => MAX_LOOP,
        "layouts of copies": p.has_rows + p.has_blocks => 1,
    }
    values {
        /// 1 if rows are scaled to length one; rows shorter than 1e-12 become zero.
        normalise: u32,
    }
    flags {
        /// 1 if some candidates are keys, else 0.
        has_keys,
        /// 1 if copies are written as rows, else 0.
        has_rows,
        /// 1 if copies are written in blocks of four columns, else 0.
        has_blocks,
    }
    read queries as any {
        /// The first candidates.
        queries: [batch, heads, groups, query_count; row_size],
    }
    read keys as any {
        /// The other candidates.
        keys: [batch, heads, groups, key_count; row_size] if has_keys,
    }
    read indices {
        /// Integers as float32.
        indices: [batch, heads, groups; rows],
    }
    write copies as any {
        /// Copies as rows.
        copies: [batch, heads, groups, rows; row_size] if has_rows,
        /// Copies in blocks of four columns.
        copy_blocks: [batch, heads, groups, blocks, rows; 4] if has_blocks,
    }
    workgroup: WORKGROUP,
    workgroups: count(&[p.batch, p.heads, p.groups, p.rows]).div_ceil(WORKGROUP.into()),
    multiply_adds: count(&[p.batch, p.heads, p.groups, p.rows, p.row_size, 2 * p.normalise]),
    iterations: 2 * looped(p.row_size.into(), 0) + looped(p.padded_size().into(), 0),
    accesses_in_range: false,
    reference: reference,
}

impl GatherRowsParams {
    fn candidates(&self) -> u32 {
        self.query_count.saturating_add(self.key_count.saturating_mul(self.has_keys))
    }

    /// Elements written for a row.
    fn padded_size(&self) -> u32 {
        if self.has_blocks == 0 { self.row_size } else { self.blocks.saturating_mul(4) }
    }
}

/// Inputs: queries, keys, indices; output: copies.
fn reference(p: &GatherRowsParams, inputs: &[&[f32]], output: &mut [f32]) {
    let &[queries, keys, chosen] = inputs else { return };
    for [batch, head, group, row] in indices([p.batch, p.heads, p.groups, p.rows]) {
        let index = p.indices.row(chosen, &[batch, head, group], p.rows)[row as usize] as u32;
        let candidate = match index.checked_sub(p.query_count) {
            None => p.queries.row(queries, &[batch, head, group, index], p.row_size),
            Some(key) => p.keys.row(keys, &[batch, head, group, key], p.row_size),
        };
        let factor = if p.normalise == 0 { 1.0 } else { unit_factor(dot(candidate, candidate)) };
        for column in 0..p.padded_size() {
            let value = candidate.get(column as usize).map_or(0.0, |&value| f64::from(value) * factor);
            let at = match p.has_blocks {
                0 => p.copies.at(&[batch, head, group, row]) + column as usize,
                _ => p.copy_blocks.at(&[batch, head, group, column / 4, row]) + column as usize % 4,
            };
            output[at] = value as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, View};

    #[test]
    fn views_are_what_strides_by_hand_are() {
        let of = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        // Rows of six elements: nine queries of two heads in one buffer, copied in two blocks of four columns. Both heads share the indices.
        let queries = of(0, &[1, 9, 12]).split(2, 6).ordered(&[0, 2, 1, 3]).with_axis(2, 1);
        let request = GatherRows {
            queries,
            keys: None,
            indices: of(1, &[5]),
            copies: None,
            copy_blocks: Some(of(2, &[1, 2, 1, 2, 5, 4]).index(5, 0)),
            normalise: 1,
        };
        let (params, bindings) = request.place().expect("they fit");
        let by_hand = GatherRowsParams {
            queries: BoundView::new(0, &[0, 6, 0, 12]),
            copy_blocks: BoundView::new(0, &[0, 40, 0, 20, 4]),
            batch: 1,
            heads: 2,
            groups: 1,
            rows: 5,
            row_size: 6,
            query_count: 9,
            key_count: 1,
            blocks: 2,
            normalise: 1,
            has_blocks: 1,
            ..GatherRowsParams::default()
        };
        assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&by_hand));
        assert_eq!((params.candidates(), params.padded_size()), (9, 8));
        let ends: Vec<u64> = by_hand.accesses().iter().map(|extent| extent.end).collect();
        assert_eq!(ends, [108, 0, 5, 80]);
        assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), [108, 108, 5, 80]);
    }
}

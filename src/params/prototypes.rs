//! Params of the kernels that choose prototypes.
//!
//! Candidates are copied into *blocks of four columns*: number `c` of row `i` lies at `i * 4 + (c / 4) * (4 * rows) + c % 4`, so that
//! invocations that look at neighbouring rows read neighbouring memory.

use super::{Extent, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};
use crate::shape::{MAX_CANDIDATES, MAX_HEAD_SIZE, MAX_LOOP};

params! {
    /// Copies of chosen rows (`gather_rows`): `out[g,i] = candidates[g, indices[g,i]]`, scaled to length one if asked for. Candidates are
    /// `queries` rows of one buffer, then `keys` rows of another. Groups are numbered `(b * heads + h) * groups + g`.
    GatherRowsParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Groups in a head.
        groups: u32,
        /// Rows copied in each group.
        rows: u32,
        /// Numbers in a row.
        row_size: u32,
        /// Numbers written for a row: zeros follow the row's own.
        padded_size: u32,
        /// 1 if rows are scaled to length one; rows shorter than 1e-12 become zero.
        normalise: u32,
        /// Candidates that are queries: indices below this.
        queries: u32,
        /// Candidates that are keys: the indices that follow.
        keys: u32,
        /// First query.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a head's queries to the next's.
        q_head_stride: u32,
        /// From a group's queries to the next's.
        q_group_stride: u32,
        /// From a query to the next.
        q_row_stride: u32,
        /// First key.
        k_offset: u32,
        /// From a batch item's keys to the next's.
        k_batch_stride: u32,
        /// From a head's keys to the next's.
        k_head_stride: u32,
        /// From a group's keys to the next's.
        k_group_stride: u32,
        /// From a key to the next.
        k_row_stride: u32,
        /// First index; indices are whole numbers as float32, and follow each other.
        index_offset: u32,
        /// From a group's indices to the next's; 0 where all share them.
        index_group_stride: u32,
        /// First copy.
        out_offset: u32,
        /// From a group's copies to the next's.
        out_group_stride: u32,
        /// From a copy to the next.
        out_row_stride: u32,
        /// From four columns of a copy to the next four.
        out_block_stride: u32,
    }
}

impl KernelParams for GatherRowsParams {
    const KERNEL: Kernel = Kernel::GatherRows;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let groups = count(&[p.batch, p.heads, p.groups]).min(u32::MAX.into()) as u32;
        let q =
            [(p.batch, p.q_batch_stride), (p.heads, p.q_head_stride), (p.groups, p.q_group_stride), (p.queries, p.q_row_stride)];
        let k = [(p.batch, p.k_batch_stride), (p.heads, p.k_head_stride), (p.groups, p.k_group_stride), (p.keys, p.k_row_stride)];
        let last = p.padded_size.saturating_sub(1);
        let out = [(groups, p.out_group_stride), (p.rows, p.out_row_stride), (last / 4 + 1, p.out_block_stride)];
        vec![
            if p.queries == 0 { Extent::NONE } else { extent(p.q_offset, &q, p.row_size) },
            if p.keys == 0 { Extent::NONE } else { extent(p.k_offset, &k, p.row_size) },
            extent(p.index_offset, &[(groups, p.index_group_stride)], p.rows),
            extent(p.out_offset, &out, last % 4 + 1),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("batch", self.batch), ("heads", self.heads), ("groups", self.groups), ("rows", self.rows)]);
        counts.push(("candidates", self.queries.saturating_add(self.keys), MAX_CANDIDATES));
        counts.extend([("row size", self.row_size, self.padded_size), ("padded row size", self.padded_size, MAX_LOOP)]);
        counts
    }

    fn iterations(&self) -> u64 {
        2 * looped(self.row_size.into(), 0) + looped(self.padded_size.into(), 0)
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.heads, self.groups, self.rows, self.row_size, 2 * self.normalise])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.heads, self.groups, self.rows]).div_ceil(64)
    }
}

params! {
    /// Greedy selection (`select`): picks `first_pick .. first_pick + picks` of every group, each the candidate that is least like those
    /// before. `rows` candidates of a group lie in blocks of four columns.
    SelectParams {
        /// Groups.
        groups: u32,
        /// Candidates of a group.
        rows: u32,
        /// Numbers in a candidate; a multiple of 16, zeros included.
        size: u32,
        /// Picks that the whole selection makes.
        total_picks: u32,
        /// First pick of this dispatch.
        first_pick: u32,
        /// Picks of this dispatch; one if there are several tiles.
        picks: u32,
        /// Workgroups that share a group's candidates.
        tiles: u32,
        /// 0: a candidate's score is the sum of its likenesses to the picks; 1: the largest of them.
        largest: u32,
        /// 1 if candidates have length one, or zero.
        normalised: u32,
        /// Scores are kept as a multiple of this power of two, and a remainder.
        grain: f32,
        /// One over that.
        grains_per_unit: f32,
        /// First candidate; a multiple of 4.
        x_offset: u32,
        /// From a group's candidates to the next's; a multiple of 4.
        x_group_stride: u32,
        /// First of the candidates' indices, whole numbers as float32.
        ids_offset: u32,
        /// From a group's indices to the next's; 0 where all share them.
        ids_group_stride: u32,
        /// First group's first pick, as a place among its candidates; the groups' follow each other.
        starts_offset: u32,
        /// First group's state: `rows` coarse parts, `rows` fine parts, `rows` squares less one, two times `tiles` times three
        /// numbers, and the picks.
        state_offset: u32,
        /// From a group's state to the next's.
        state_group_stride: u32,
    }
}

impl SelectParams {
    /// Numbers of a group's state ahead of the picks.
    pub(crate) fn ahead_of_picks(&self) -> u64 {
        3 * u64::from(self.rows) + 6 * u64::from(self.tiles)
    }
}

impl KernelParams for SelectParams {
    const KERNEL: Kernel = Kernel::Select;

    fn accesses(&self) -> Vec<Extent> {
        let group = |stride| [(self.groups, stride)];
        let state = self.ahead_of_picks() + u64::from(self.total_picks);
        vec![
            extent(self.x_offset, &group(self.x_group_stride), count(&[self.rows, self.size])),
            extent(self.ids_offset, &group(self.ids_group_stride), self.rows),
            extent(self.starts_offset, &[], self.groups),
            extent(self.state_offset, &group(self.state_group_stride), state),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let picks = self.total_picks.saturating_sub(self.first_pick);
        let mut counts = any(&[("groups", self.groups), ("tiles", self.tiles)]);
        counts.extend([("candidates", self.rows, MAX_CANDIDATES), ("prototypes", self.total_picks, self.rows)]);
        counts.extend([("picks of a dispatch", self.picks, if self.tiles > 1 { 1 } else { picks })]);
        counts.extend([("candidate size", self.size, MAX_HEAD_SIZE), ("whole vectors + 1", self.size % 16 + 1, 1)]);
        counts
    }

    fn iterations(&self) -> u64 {
        let candidates = u64::from(self.rows.div_ceil(self.tiles.max(1)).div_ceil(64));
        let row = looped(u64::from(self.size / 16), 0);
        // The first pick also squares every candidate; where that is passed over, its loop still takes the turn that ends it.
        let first = if self.first_pick == 0 { looped(candidates, row) } else { 0 };
        let scores = looped(candidates, row + 1) + row;
        first + looped(self.picks.into(), scores + looped(6, 0)) + looped(self.tiles.div_ceil(64).into(), 0) + looped(6, 0)
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.groups, self.rows, self.size, self.picks])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.groups, self.tiles])
    }
}

params! {
    /// Nearest centre (`nearest`): `out[g,i]` is the centre that row `i` is closest to, by distance or by angle.
    NearestParams {
        /// Groups.
        groups: u32,
        /// Rows of a group.
        rows: u32,
        /// Centres of a group.
        centres: u32,
        /// Numbers in a row and in a centre.
        size: u32,
        /// 0: by distance; 1: by angle.
        spherical: u32,
        /// First row, in blocks of four columns; a multiple of 4.
        x_offset: u32,
        /// From a group's rows to the next's; a multiple of 4.
        x_group_stride: u32,
        /// First centre; centres of a group follow each other without gaps.
        c_offset: u32,
        /// From a group's centres to the next's.
        c_group_stride: u32,
        /// First assignment, a whole number as float32; those of a group follow each other.
        out_offset: u32,
        /// From a group's assignments to the next's.
        out_group_stride: u32,
    }
}

impl KernelParams for NearestParams {
    const KERNEL: Kernel = Kernel::Nearest;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        vec![
            extent(p.x_offset, &[(p.groups, p.x_group_stride)], blocks(p.rows, p.size)),
            extent(p.c_offset, &[(p.groups, p.c_group_stride), (p.centres, p.size)], p.size),
            extent(p.out_offset, &[(p.groups, p.out_group_stride)], p.rows),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("groups", self.groups), ("centres", self.centres)]);
        counts.extend([("candidates", self.rows, MAX_CANDIDATES), ("candidate size", self.size, MAX_HEAD_SIZE)]);
        counts
    }

    fn iterations(&self) -> u64 {
        let distance = looped(self.size.div_ceil(4).into(), 0);
        looped(self.centres.into(), distance) + distance
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.groups, self.rows, self.centres, self.size, 1 + self.spherical])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.groups, self.rows]).div_ceil(64)
    }
}

params! {
    /// Means of clusters (`cluster_means`): `out[g,c]` is the mean of the rows that are assigned to centre `c`, or what it was if there are none.
    ClusterMeansParams {
        /// Groups.
        groups: u32,
        /// Rows of a group.
        rows: u32,
        /// Centres of a group.
        centres: u32,
        /// Numbers in a row and in a centre.
        size: u32,
        /// First row, in blocks of four columns; a multiple of 4.
        x_offset: u32,
        /// From a group's rows to the next's; a multiple of 4.
        x_group_stride: u32,
        /// First assignment, a whole number as float32; those of a group follow each other.
        a_offset: u32,
        /// From a group's assignments to the next's.
        a_group_stride: u32,
        /// First centre as it was; centres of a group follow each other without gaps.
        c_offset: u32,
        /// From a group's centres to the next's, before and after.
        c_group_stride: u32,
        /// First mean.
        out_offset: u32,
    }
}

impl KernelParams for ClusterMeansParams {
    const KERNEL: Kernel = Kernel::ClusterMeans;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let centres = [(p.groups, p.c_group_stride), (p.centres, p.size)];
        vec![
            extent(p.x_offset, &[(p.groups, p.x_group_stride)], blocks(p.rows, p.size)),
            extent(p.a_offset, &[(p.groups, p.a_group_stride)], p.rows),
            extent(p.c_offset, &centres, p.size),
            extent(p.out_offset, &centres, p.size),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("groups", self.groups), ("centres", self.centres)]);
        counts.extend([("candidates", self.rows, MAX_CANDIDATES), ("candidate size", self.size, MAX_HEAD_SIZE)]);
        counts
    }

    fn iterations(&self) -> u64 {
        looped(self.rows.into(), 0)
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.groups, self.rows, self.size])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.groups, self.centres, self.size.div_ceil(4)]).div_ceil(64)
    }
}

/// Numbers that rows in blocks of four columns reach.
fn blocks(rows: u32, size: u32) -> u64 {
    count(&[rows, size.div_ceil(4) * 4])
}

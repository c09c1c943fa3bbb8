//! What operations fill in for the kernels that choose prototypes.
//!
//! Candidates are copied into *blocks of four columns*: element `c` of row `i` lies at `i * 4 + (c / 4) * (4 * rows) + c % 4`, so that
//! invocations that look at neighbouring rows read neighbouring memory.

use crate::kernel::{self, IntoParams, KernelParams, Sealed};
use crate::view::BoundView;

/// A view `[groups, blocks, rows; 4]` of blocks of four columns.
fn blocks(offset: u32, group_stride: u32, rows: u32) -> BoundView {
    BoundView::new(offset, &[group_stride, rows.saturating_mul(4), 4])
}

/// Copies of chosen rows (`gather_rows`): `out[g,i] = candidates[g, indices[g,i]]`, scaled to length one if asked for. Candidates are
/// `queries` rows of one buffer, then `keys` rows of another. Groups are numbered `(b * heads + h) * groups + g`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GatherRowsParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Groups in a head.
    pub groups: u32,
    /// Rows copied in each group.
    pub rows: u32,
    /// Numbers in a row.
    pub row_size: u32,
    /// Numbers written for a row: zeros follow the row's own.
    pub padded_size: u32,
    /// 1 if rows are scaled to length one; rows shorter than 1e-12 become zero.
    pub normalise: u32,
    /// Candidates that are queries: indices below this.
    pub queries: u32,
    /// Candidates that are keys: the indices that follow.
    pub keys: u32,
    /// First query.
    pub q_offset: u32,
    /// From a batch item's queries to the next's.
    pub q_batch_stride: u32,
    /// From a head's queries to the next's.
    pub q_head_stride: u32,
    /// From a group's queries to the next's.
    pub q_group_stride: u32,
    /// From a query to the next.
    pub q_row_stride: u32,
    /// First key.
    pub k_offset: u32,
    /// From a batch item's keys to the next's.
    pub k_batch_stride: u32,
    /// From a head's keys to the next's.
    pub k_head_stride: u32,
    /// From a group's keys to the next's.
    pub k_group_stride: u32,
    /// From a key to the next.
    pub k_row_stride: u32,
    /// First index; indices are whole numbers as float32, and follow each other.
    pub index_offset: u32,
    /// From a group's indices to the next's; 0 where all share them.
    pub index_group_stride: u32,
    /// First copy.
    pub out_offset: u32,
    /// From a group's copies to the next's.
    pub out_group_stride: u32,
    /// From a copy to the next.
    pub out_row_stride: u32,
    /// From four columns of a copy to the next four.
    pub out_block_stride: u32,
}

impl Sealed for GatherRowsParams {}

impl IntoParams for GatherRowsParams {
    type Params = kernel::GatherRowsParams;

    fn into_params(self) -> kernel::GatherRowsParams {
        let p = self;
        let Self { batch, heads, groups, rows, row_size, normalise, .. } = p;
        let queries = BoundView::new(p.q_offset, &[p.q_batch_stride, p.q_head_stride, p.q_group_stride, p.q_row_stride]);
        let keys = BoundView::new(p.k_offset, &[p.k_batch_stride, p.k_head_stride, p.k_group_stride, p.k_row_stride]);
        let per_group =
            |stride: u32| [heads.saturating_mul(groups).saturating_mul(stride), groups.saturating_mul(stride), stride];
        let indices = BoundView::new(p.index_offset, &per_group(p.index_group_stride));
        let [batch_stride, head_stride, group_stride] = per_group(p.out_group_stride);
        let out =
            |strides: [u32; 2]| BoundView::new(p.out_offset, &[batch_stride, head_stride, group_stride, strides[0], strides[1]]);
        let in_blocks = p.out_row_stride == 4 && p.out_block_stride == rows.saturating_mul(4) && p.padded_size % 4 == 0;
        let is_there = |view: BoundView, there: bool| if there { view } else { BoundView::default() };
        kernel::GatherRowsParams {
            queries,
            keys: is_there(keys, p.keys > 0),
            indices,
            copies: is_there(out([p.out_row_stride, 0]), !in_blocks),
            copy_blocks: is_there(out([p.out_block_stride, 4]), in_blocks),
            batch,
            heads,
            groups,
            rows,
            row_size,
            query_count: p.queries,
            key_count: p.keys.max(1),
            blocks: if in_blocks { p.padded_size / 4 } else { 1 },
            normalise,
            has_keys: (p.keys > 0).into(),
            has_rows: (!in_blocks).into(),
            has_blocks: in_blocks.into(),
        }
    }
}

/// Greedy selection (`select`): picks `first_pick .. first_pick + picks` of every group, each the candidate that is least like those
/// before. `rows` candidates of a group lie in blocks of four columns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SelectParams {
    /// Groups.
    pub groups: u32,
    /// Candidates of a group.
    pub rows: u32,
    /// Numbers in a candidate; a multiple of 16, zeros included.
    pub size: u32,
    /// Picks that the whole selection makes.
    pub total_picks: u32,
    /// First pick of this dispatch.
    pub first_pick: u32,
    /// Picks of this dispatch; one if there are several tiles.
    pub picks: u32,
    /// Workgroups that share a group's candidates.
    pub tiles: u32,
    /// 0: a candidate's score is the sum of its likenesses to the picks; 1: the largest of them.
    pub largest: u32,
    /// 1 if candidates have length one, or zero.
    pub normalised: u32,
    /// Scores are kept as a multiple of this power of two, and a remainder.
    pub grain: f32,
    /// One over that.
    pub grains_per_unit: f32,
    /// First candidate; a multiple of 4.
    pub x_offset: u32,
    /// From a group's candidates to the next's; a multiple of 4.
    pub x_group_stride: u32,
    /// First of the candidates' indices, whole numbers as float32.
    pub ids_offset: u32,
    /// From a group's indices to the next's; 0 where all share them.
    pub ids_group_stride: u32,
    /// First group's first pick, as a place among its candidates; the groups' follow each other.
    pub starts_offset: u32,
    /// First group's state: `rows` coarse parts, `rows` fine parts, `rows` squares less one, two times `tiles` times three
    /// numbers, and the picks.
    pub state_offset: u32,
    /// From a group's state to the next's.
    pub state_group_stride: u32,
}

impl Sealed for SelectParams {}

impl IntoParams for SelectParams {
    type Params = kernel::SelectParams;

    fn into_params(self) -> kernel::SelectParams {
        let p = self;
        let Self { groups, rows, tiles, total_picks, first_pick, picks, .. } = p;
        let Self { largest, normalised, grain, grains_per_unit, .. } = p;
        kernel::SelectParams {
            candidates: blocks(p.x_offset, p.x_group_stride, rows),
            ids: BoundView::new(p.ids_offset, &[p.ids_group_stride]),
            starts: BoundView::new(p.starts_offset, &[1]),
            state: BoundView::new(p.state_offset, &[p.state_group_stride]),
            groups,
            rows,
            blocks: p.size / 4,
            tiles,
            total_picks,
            picks,
            first_pick,
            largest,
            normalised,
            grain,
            grains_per_unit,
        }
    }
}

impl SelectParams {
    /// Elements of a group's state ahead of the picks.
    pub(crate) fn ahead_of_picks(self) -> u64 {
        self.into_params().ahead_of_picks()
    }

    /// Loop iterations of an invocation.
    pub(crate) fn iterations(self) -> u64 {
        self.into_params().iterations()
    }
}

/// Nearest centre (`nearest`): `out[g,i]` is the centre that row `i` is closest to, by distance or by angle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NearestParams {
    /// Groups.
    pub groups: u32,
    /// Rows of a group.
    pub rows: u32,
    /// Centres of a group.
    pub centres: u32,
    /// Numbers in a row and in a centre.
    pub size: u32,
    /// 0: by distance; 1: by angle.
    pub spherical: u32,
    /// First row, in blocks of four columns; a multiple of 4.
    pub x_offset: u32,
    /// From a group's rows to the next's; a multiple of 4.
    pub x_group_stride: u32,
    /// First centre; centres of a group follow each other without gaps.
    pub c_offset: u32,
    /// From a group's centres to the next's.
    pub c_group_stride: u32,
    /// First assignment, a whole number as float32; those of a group follow each other.
    pub out_offset: u32,
    /// From a group's assignments to the next's.
    pub out_group_stride: u32,
}

impl Sealed for NearestParams {}

impl IntoParams for NearestParams {
    type Params = kernel::NearestParams;

    fn into_params(self) -> kernel::NearestParams {
        let p = self;
        let Self { groups, rows, centres: clusters, size, spherical, .. } = p;
        kernel::NearestParams {
            x: blocks(p.x_offset, p.x_group_stride, rows),
            centres: BoundView::new(p.c_offset, &[p.c_group_stride, size]),
            assignments: BoundView::new(p.out_offset, &[p.out_group_stride]),
            groups,
            clusters,
            rows,
            size,
            blocks: size.div_ceil(4),
            spherical,
        }
    }
}

/// Means of clusters (`cluster_means`): `out[g,c]` is the mean of the rows that are assigned to centre `c`, or what it was if there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClusterMeansParams {
    /// Groups.
    pub groups: u32,
    /// Rows of a group.
    pub rows: u32,
    /// Centres of a group.
    pub centres: u32,
    /// Numbers in a row and in a centre.
    pub size: u32,
    /// First row, in blocks of four columns; a multiple of 4.
    pub x_offset: u32,
    /// From a group's rows to the next's; a multiple of 4.
    pub x_group_stride: u32,
    /// First assignment, a whole number as float32; those of a group follow each other.
    pub a_offset: u32,
    /// From a group's assignments to the next's.
    pub a_group_stride: u32,
    /// First centre as it was; centres of a group follow each other without gaps.
    pub c_offset: u32,
    /// From a group's centres to the next's, before and after.
    pub c_group_stride: u32,
    /// First mean.
    pub out_offset: u32,
}

impl Sealed for ClusterMeansParams {}

impl IntoParams for ClusterMeansParams {
    type Params = kernel::ClusterMeansParams;

    fn into_params(self) -> kernel::ClusterMeansParams {
        let p = self;
        let Self { groups, rows, centres: clusters, size, .. } = p;
        kernel::ClusterMeansParams {
            x: blocks(p.x_offset, p.x_group_stride, rows),
            assignments: BoundView::new(p.a_offset, &[p.a_group_stride]),
            centres: BoundView::new(p.c_offset, &[p.c_group_stride, size]),
            means: BoundView::new(p.out_offset, &[p.c_group_stride, size]),
            groups,
            clusters,
            rows,
            size,
            blocks: size.div_ceil(4),
        }
    }
}

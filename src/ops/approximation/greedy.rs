//! Greedy orthogonal prototypes on the device: candidates are copied (scaled to length one), picks are made, and the picked candidates
//! are copied as they are.
//!
//! A selection is `R` dependent steps. Two schedules do them: *looping*, one workgroup a group makes pick after pick in as few dispatches as
//! the limit on loop turns allows; *stepping*, several workgroups share a group and a dispatch makes one pick. A Gram matrix of all candidates
//! would cost `M / R` times the products, so there is none. On lavapipe (two cores, `cargo bench --bench
//! selection`, whole runs, ms):
//!
//! | groups x candidates x size, R | looping | stepping |
//! | --- | --- | --- |
//! | 12 x 1,568 x 64, 128 | 301 | 961 |
//! | 1 x 1,568 x 64, 128 | 42 | 54 |
//! | 1 x 12,544 x 64, 128 | 367 | 364 |
//!
//! So groups loop, but for a single large one, and where one workgroup cannot go through the candidates at all.

use std::sync::Arc;

use super::clusters::all_groups;
use super::operands::{Problem, Sizes};
use super::prototypes::{PrototypeBuffers, listed};
use super::{Greedy, Schedule};
use crate::draw::{self, Use};
use crate::error::{Error, Result};
use crate::kernel::{GatherRows, KernelParams, Select, SelectParams};
use crate::plan::{BufferId, PlanBuilder, Role, Stage};
use crate::reference::direct::{Criterion, GreedySelection};
use crate::view::View;

/// Candidates of a workgroup when several share a group.
const CANDIDATES_PER_TILE: u32 = 256;
/// Most candidates of a single group that one workgroup goes through.
const MOST_LOOPED_ALONE: u32 = 8192;

/// Buffers of a greedy selection.
pub(super) struct GreedyBuffers {
    criterion: Criterion,
    normalise: bool,
    /// Picks, candidates that are looked at, and workgroups that share them.
    count: u32,
    looked_at: u32,
    tiles: u32,
    /// Blocks of four columns of a candidate, those of zeros included.
    blocks: u32,
    /// Candidates in blocks of four columns, `[items, heads, groups, blocks, looked_at, 4]` from the start of a shared buffer.
    candidates: BufferId,
    /// Their indices, `[1 or all groups, looked_at]`.
    ids: View,
    ids_differ: bool,
    /// First picks `[all groups, 1]`, as numbers among those looked at.
    starts: View,
    /// `[items, heads, groups, state]`; see [`SelectParams`].
    state: BufferId,
    /// `0, 1, 2, ...` to copy by, and the output `indices`.
    indices: Option<(View, View)>,
}

impl GreedyBuffers {
    pub fn new(
        builder: &mut PlanBuilder,
        spec: &Greedy,
        count: u32,
        sizes: &Sizes,
        [groups, candidates, all_groups]: [u32; 3],
        workspace: BufferId,
    ) -> Result<Self> {
        check_start(spec, all_groups, candidates)?;
        if !(spec.fraction > 0.0 && spec.fraction <= 1.0) {
            let expected = "above 0 and at most 1".to_owned();
            return Err(Error::Argument { what: "fraction of candidates", given: spec.fraction.to_string(), expected });
        }
        let looked_at = looked_at(spec, candidates, count);
        let (mut ids, mut starts) = (Vec::new(), Vec::new());
        for group in 0..all_groups {
            let (seed, number) = (spec.seed, u64::from(group));
            let first = spec.first_pick(group);
            let Some(drawn) = drawn_candidates(spec, group, candidates, count) else {
                starts.push(first.unwrap_or_else(|| draw::index(seed, number, candidates)));
                continue;
            };
            let index = first.and_then(|first| drawn.binary_search(&first).ok().map(|index| index as u32));
            starts.push(index.unwrap_or_else(|| draw::index(seed, number, looked_at)));
            ids.extend(drawn);
        }
        let ids_differ = !ids.is_empty();
        if !ids_differ {
            ids = (0..candidates).collect();
        }
        let blocks = sizes.head_size.next_multiple_of(16) / 4;
        let one = sized(sizes.items * sizes.heads * groups, looked_at, blocks, 1);
        let tiles = tiles(spec.schedule, &one, builder.limits().loop_iterations);
        let ahead_of_picks = ahead_of_picks(looked_at, tiles);
        let outer = [sizes.items, sizes.heads, groups].map(u64::from);
        let state = [&outer[..], &[ahead_of_picks + u64::from(count)]].concat();
        Ok(Self {
            criterion: spec.criterion,
            normalise: spec.normalise,
            count,
            looked_at,
            tiles,
            blocks,
            candidates: workspace,
            ids: listed(builder, "candidate indices", &ids, if ids_differ { all_groups } else { 1 })?,
            ids_differ,
            starts: listed(builder, "first picks", &starts, all_groups)?,
            state: builder.buffer("state of the selection", &state, Role::Scratch)?,
            indices: None,
        })
    }

    pub fn output_indices(&mut self, builder: &mut PlanBuilder, sizes: &Sizes, groups: u32) -> Result<()> {
        let order: Vec<u32> = (0..self.count).collect();
        let order = listed(builder, "picks in order", &order, 1)?;
        let [all, groups, count] = [u64::from(sizes.batch) * u64::from(sizes.heads), groups.into(), self.count.into()];
        let shape = if groups == 1 { vec![all, count] } else { vec![all, groups, count] };
        let indices = builder.buffer("indices", &shape, Role::Indices)?;
        self.indices = Some((order, View::of(indices, &[all * groups, count])));
        Ok(())
    }

    /// Chooses the prototypes of a problem, into `out [items, heads, groups, R, D]`.
    pub fn plan(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers, out: View) -> Result<Vec<Stage>> {
        let ahead = ahead_of_picks(self.looked_at, self.tiles);
        let count = u64::from(self.count);
        let state = problem.scratch(self.state, &[of.groups, ahead as u32 + self.count]);
        let picks = state.part(3, ahead, count);
        let mut stages = vec![self.copy_candidates(builder, problem, of)?, self.select(builder, problem, of, state)?];
        stages.push(Stage::Kernel(of.copy(builder, problem, picks, out, false)?));
        if let Some((order, indices)) = self.indices {
            let groups = u64::from(problem.item_heads()) * u64::from(of.groups);
            let first = u64::from(problem.first_item) * u64::from(problem.sizes.heads) * u64::from(of.groups);
            // Rows of one element each, which are copied in their order.
            let rows = |view: View| view.with_axis(1, 1).with_axis(1, 1).with_axis(4, 1);
            let request = GatherRows {
                queries: rows(all_groups(picks)),
                keys: None,
                indices: order,
                copies: Some(rows(indices.part(0, first, groups))),
                copy_blocks: None,
                normalise: 0,
            };
            stages.push(Stage::Kernel(builder.make("indices", request)?));
        }
        Ok(stages)
    }

    /// Indices of the candidates, `[items, heads, groups, looked_at]` or the same ones for all groups.
    fn ids(&self, problem: &Problem, of: &PrototypeBuffers) -> View {
        if self.ids_differ { of.of_groups(problem, self.ids) } else { self.ids }
    }

    /// `[items, heads, groups, blocks, looked_at]`, in rows of four elements.
    fn blocks(&self, problem: &Problem, of: &PrototypeBuffers) -> View {
        problem.scratch(self.candidates, &[of.groups, self.blocks, self.looked_at, 4]).index(5, 0)
    }

    fn copy_candidates(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers) -> Result<Stage> {
        let (queries, keys) = of.candidates(problem);
        let request = GatherRows {
            queries,
            keys,
            indices: self.ids(problem, of),
            copies: None,
            copy_blocks: Some(self.blocks(problem, of)),
            normalise: self.normalise.into(),
        };
        Ok(Stage::Kernel(builder.make("candidates", request)?))
    }

    /// The picks, in as many dispatches as the schedule takes.
    fn select(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers, state: View) -> Result<Stage> {
        // Sums of multiples of the grain have to stay whole numbers of it below 2^24.
        let bits = 12.min(24 - self.count.next_power_of_two().trailing_zeros().min(24));
        let grains_per_unit = f32::from(1u16 << bits);
        let ids = self.ids(problem, of);
        let request = Select {
            candidates: all_groups(self.blocks(problem, of)),
            ids: if self.ids_differ { all_groups(ids) } else { ids },
            starts: all_groups(of.of_groups(problem, self.starts)).index(1, 0),
            state: all_groups(state),
            tiles: self.tiles,
            total_picks: self.count,
            picks: self.count,
            first_pick: 0,
            largest: u32::from(self.criterion == Criterion::Max),
            normalised: self.normalise.into(),
            grain: 1.0 / grains_per_unit,
            grains_per_unit,
        };
        let groups = problem.item_heads() * of.groups;
        let at_once = self.picks_at_once(groups, builder.limits().loop_iterations);
        let mut dispatches = Vec::new();
        for first_pick in (0..self.count).step_by(at_once as usize) {
            let picks = at_once.min(self.count - first_pick);
            dispatches.push(builder.make("greedy selection", Select { first_pick, picks, ..request })?);
        }
        Ok(Stage::Shortcut { dispatches, direct: Arc::new(GreedySelection { request }) })
    }

    /// Picks that one dispatch makes: one if workgroups share a group, else as many as the driver's limit on loop iterations allows.
    fn picks_at_once(&self, groups: u32, limit: Option<u32>) -> u32 {
        let Some(limit) = limit.filter(|_| self.tiles == 1) else { return if self.tiles > 1 { 1 } else { self.count } };
        let iterations = |picks| sized(groups, self.looked_at, self.blocks, picks).iterations();
        let each = iterations(1) - iterations(0);
        (u64::from(limit).saturating_sub(iterations(0)) / each).clamp(1, self.count.into()) as u32
    }
}

/// Elements of a group's state ahead of its picks.
fn ahead_of_picks(rows: u32, tiles: u32) -> u64 {
    SelectParams { rows, tiles, ..SelectParams::default() }.ahead_of_picks()
}

/// Params of a selection by one workgroup a group, of these sizes.
fn sized(groups: u32, rows: u32, blocks: u32, picks: u32) -> SelectParams {
    SelectParams { groups, rows, blocks, picks, tiles: 1, ..SelectParams::default() }
}

/// Candidates of a group that are looked at.
fn looked_at(spec: &Greedy, candidates: u32, count: u32) -> u32 {
    ((f64::from(candidates) * spec.fraction) as u32).clamp(count, candidates)
}

/// Which candidates of a group are looked at, in ascending order, if not all.
pub(crate) fn drawn_candidates(spec: &Greedy, group: u32, candidates: u32, count: u32) -> Option<Vec<u32>> {
    let looked_at = looked_at(spec, candidates, count);
    let first = spec.first_pick(group);
    let draw = || draw::indices(spec.seed, Use::Candidates, group.into(), candidates, looked_at, first);
    (looked_at < candidates).then(draw)
}

fn check_start(spec: &Greedy, groups: u32, candidates: u32) -> Result<()> {
    let Some(starts) = &spec.start else { return Ok(()) };
    if starts.len() != 1 && starts.len() as u64 != u64::from(groups) {
        let expected = format!("one for each of {groups} groups, or one for all");
        return Err(Error::WrongShape { name: "start".to_owned(), found: vec![starts.len()], expected });
    }
    match starts.iter().find(|&&start| start >= candidates) {
        Some(&start) => Err(Error::OutOfRange { what: "start", index: start.into(), count: candidates.into() }),
        None => Ok(()),
    }
}

/// Workgroups that share a group's candidates, of a selection that makes one pick a dispatch otherwise.
fn tiles(schedule: Schedule, one: &SelectParams, limit: Option<u32>) -> u32 {
    let loops = limit.is_none_or(|most| one.iterations() <= most.into());
    match schedule {
        Schedule::Looping if loops => 1,
        Schedule::Automatic if loops && (one.groups >= 2 || one.rows <= MOST_LOOPED_ALONE) => 1,
        _ => one.rows.div_ceil(CANDIDATES_PER_TILE),
    }
}

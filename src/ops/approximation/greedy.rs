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

use super::operands::{Problem, Sizes, Vectors};
use super::prototypes::{PrototypeBuffers, listed};
use super::{Greedy, Schedule};
use crate::draw::{self, Use};
use crate::error::{Error, Result};
use crate::params::{GatherRowsParams, SelectParams};
use crate::plan::{Binding, BufferId, PlanBuilder, Role, Stage};
use crate::reference::direct::{Criterion, Direct, GreedySelection};
use crate::shape::MAX_LOOP;

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
    /// Numbers of a candidate, zeros included.
    padded: u32,
    /// Candidates in blocks of four columns, `[items * heads * groups, padded, looked_at]` from the start of a shared buffer.
    candidates: BufferId,
    /// Their indices, `[1 or all groups, looked_at]`.
    ids: BufferId,
    ids_differ: bool,
    /// First picks `[all groups, 1]`, as places among those looked at.
    starts: BufferId,
    /// `[items, heads, groups, state]`; see [`SelectParams`].
    state: BufferId,
    /// `0, 1, 2, ...` to copy by, and the output `indices`.
    indices: Option<(BufferId, BufferId)>,
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
                starts.push(first.unwrap_or_else(|| draw::place(seed, number, candidates)));
                continue;
            };
            let place = first.and_then(|first| drawn.binary_search(&first).ok().map(|place| place as u32));
            starts.push(place.unwrap_or_else(|| draw::place(seed, number, looked_at)));
            ids.extend(drawn);
        }
        let ids_differ = !ids.is_empty();
        if !ids_differ {
            ids = (0..candidates).collect();
        }
        let padded = sizes.head_size.next_multiple_of(16);
        let tiles = tiles(spec.schedule, sizes.items * sizes.heads * groups, looked_at, padded);
        let ahead_of_picks = SelectParams { rows: looked_at, tiles, ..SelectParams::default() }.ahead_of_picks();
        let outer = [sizes.items, sizes.heads, groups].map(u64::from);
        let state = [&outer[..], &[ahead_of_picks + u64::from(count)]].concat();
        Ok(Self {
            criterion: spec.criterion,
            normalise: spec.normalise,
            count,
            looked_at,
            tiles,
            padded,
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
        self.indices = Some((order, builder.buffer("indices", &shape, Role::Indices)?));
        Ok(())
    }

    pub fn plan(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers, out: &Vectors) -> Result<Vec<Stage>> {
        let select = self.params(builder, problem, of)?;
        let mut stages = vec![self.copy_candidates(builder, problem, of, &select)?, self.select(builder, problem, of, select)?];
        let groups = u64::from(select.groups);
        let (state, _) = builder.bind(self.state, 0, groups * u64::from(select.state_group_stride))?;
        let picks = (state, select.ahead_of_picks() as u32, select.state_group_stride);
        stages.push(Stage::Kernel(of.copy(builder, problem, picks, out)?));
        if let Some((order, indices)) = self.indices {
            let first = u64::from(problem.first_item) * u64::from(problem.sizes.heads) * u64::from(of.groups);
            let count = u64::from(self.count);
            let (indices, out_offset) = builder.bind(indices, first * count, groups * count)?;
            let params = GatherRowsParams {
                batch: select.groups,
                heads: 1,
                groups: 1,
                rows: self.count,
                row_size: 1,
                padded_size: 1,
                queries: self.count,
                q_offset: select.ahead_of_picks() as u32,
                q_batch_stride: select.state_group_stride,
                out_offset,
                q_row_stride: 1,
                out_group_stride: self.count,
                out_row_stride: 1,
                out_block_stride: 4,
                ..GatherRowsParams::default()
            };
            let bindings = [state, state, builder.bind_all(order)?, indices];
            stages.push(Stage::Kernel(builder.dispatch("indices", params, &bindings)?));
        }
        Ok(stages)
    }

    /// Params of the selection's dispatches, but for the picks.
    fn params(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers) -> Result<SelectParams> {
        // Sums of multiples of the grain have to stay whole numbers of it below 2^24.
        let bits = 12.min(24 - self.count.next_power_of_two().trailing_zeros().min(24));
        let grains_per_unit = f32::from(1u16 << bits);
        let (_, ids_offset) = self.ids(builder, problem, of)?;
        let (_, starts_offset) = of.of_groups(builder, problem, self.starts, 1)?;
        let params = SelectParams {
            groups: problem.item_heads() * of.groups,
            rows: self.looked_at,
            size: self.padded,
            total_picks: self.count,
            tiles: self.tiles,
            largest: u32::from(self.criterion == Criterion::Max),
            normalised: self.normalise.into(),
            grain: 1.0 / grains_per_unit,
            grains_per_unit,
            x_group_stride: self.padded * self.looked_at,
            ids_offset,
            ids_group_stride: if self.ids_differ { self.looked_at } else { 0 },
            starts_offset,
            ..SelectParams::default()
        };
        Ok(SelectParams { state_group_stride: params.ahead_of_picks() as u32 + self.count, ..params })
    }

    fn ids(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers) -> Result<(Binding, u32)> {
        match self.ids_differ {
            true => of.of_groups(builder, problem, self.ids, self.looked_at),
            false => Ok((builder.bind_all(self.ids)?, 0)),
        }
    }

    fn copy_candidates(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        of: &PrototypeBuffers,
        select: &SelectParams,
    ) -> Result<Stage> {
        let params = GatherRowsParams {
            rows: self.looked_at,
            row_size: problem.sizes.head_size,
            padded_size: self.padded,
            normalise: self.normalise.into(),
            index_offset: select.ids_offset,
            index_group_stride: select.ids_group_stride,
            out_group_stride: select.x_group_stride,
            out_row_stride: 4,
            out_block_stride: 4 * self.looked_at,
            ..of.gather(problem)
        };
        let (ids, _) = self.ids(builder, problem, of)?;
        let bindings = [problem.q.binding, problem.k.binding, ids, self.bind_candidates(builder, select)?];
        Ok(Stage::Kernel(builder.dispatch("candidates", params, &bindings)?))
    }

    fn bind_candidates(&self, builder: &PlanBuilder, select: &SelectParams) -> Result<Binding> {
        Ok(builder.bind(self.candidates, 0, u64::from(select.groups) * u64::from(select.x_group_stride))?.0)
    }

    /// The picks, in as many dispatches as the schedule takes.
    fn select(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers, params: SelectParams) -> Result<Stage> {
        let candidates = self.bind_candidates(builder, &params)?;
        let (ids, _) = self.ids(builder, problem, of)?;
        let (starts, _) = of.of_groups(builder, problem, self.starts, 1)?;
        let (state, _) = builder.bind(self.state, 0, u64::from(params.groups) * u64::from(params.state_group_stride))?;
        let at_once = picks_at_once(&params);
        let mut dispatches = Vec::new();
        for first_pick in (0..self.count).step_by(at_once as usize) {
            let picks = at_once.min(self.count - first_pick);
            let params = SelectParams { first_pick, picks, ..params };
            dispatches.push(builder.dispatch("greedy selection", params, &[candidates, ids, starts, state])?);
        }
        Ok(Stage::Shortcut { dispatches, direct: Direct::Selection(GreedySelection { params, candidates, ids, starts, state }) })
    }
}

/// Candidates of a group that are looked at.
fn looked_at(spec: &Greedy, candidates: u32, count: u32) -> u32 {
    ((f64::from(candidates) * spec.fraction) as u32).clamp(count, candidates)
}

/// Which candidates of a group are looked at, in ascending order, if not all.
pub(crate) fn drawn_candidates(spec: &Greedy, group: u32, candidates: u32, count: u32) -> Option<Vec<u32>> {
    let looked_at = looked_at(spec, candidates, count);
    let first = spec.first_pick(group);
    let draw = || draw::places(spec.seed, Use::Candidates, group.into(), candidates, looked_at, first);
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

/// Picks that one dispatch makes: one if workgroups share a group, else as many as the limit on loop turns allows.
fn picks_at_once(params: &SelectParams) -> u32 {
    if params.tiles > 1 {
        return 1;
    }
    let turns = |picks| SelectParams { picks, ..*params }.iterations();
    let each = turns(1) - turns(0);
    ((u64::from(MAX_LOOP) - turns(0)) / each).clamp(1, params.total_picks.into()) as u32
}

/// Workgroups that share a group's candidates.
fn tiles(schedule: Schedule, groups: u32, rows: u32, size: u32) -> u32 {
    let stepping = rows.div_ceil(CANDIDATES_PER_TILE);
    let one = SelectParams { groups, rows, size, picks: 1, tiles: 1, ..SelectParams::default() };
    let loops = one.iterations() <= MAX_LOOP.into();
    match schedule {
        Schedule::Looping if loops => 1,
        Schedule::Automatic if loops && (groups >= 2 || rows <= MOST_LOOPED_ALONE) => 1,
        _ => stepping,
    }
}

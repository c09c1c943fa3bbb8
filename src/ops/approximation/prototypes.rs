//! Prototypes of every group: their candidates, and the ways to choose them that need little work. See [`super::greedy`] and
//! [`super::clusters`] for the others.

use super::clusters::ClusterBuffers;
use super::greedy::GreedyBuffers;
use super::nystrom::{segment_means, segments_of};
use super::operands::{Problem, Sizes, Vectors};
use super::{Candidates, Prototypes, Selection, within};
use crate::draw::{self, Use};
use crate::error::{Error, Result};
use crate::params::{GatherRowsParams, SegmentMeansParams};
use crate::plan::{Binding, BufferId, Dispatch, PlanBuilder, Role, Stage};
use crate::shape::{MAX_CANDIDATES, fits_u32, product};

/// Buffers of a choice of prototypes.
pub(in crate::ops) struct PrototypeBuffers {
    spec: Prototypes,
    /// Groups of a head: 1, or its frames.
    pub groups: u32,
    /// Candidates of a group.
    candidates: u32,
    kind: Kind,
}

enum Kind {
    Greedy(GreedyBuffers),
    Clusters(ClusterBuffers),
    /// Candidates with these numbers, as a constant `[all groups, R]`.
    Listed(BufferId),
    /// Means of queries as they lie.
    QueryMeans,
    /// Means of queries and keys: an order to copy them in, and where to.
    CopiedMeans {
        order: BufferId,
        copies: BufferId,
    },
}

impl PrototypeBuffers {
    /// `workspace` is a scratch buffer of at least [`candidate_numbers`] for each head, free until the prototypes are chosen.
    pub fn new(builder: &mut PlanBuilder, spec: &Prototypes, sizes: &Sizes, workspace: BufferId) -> Result<Self> {
        let [groups, candidates] = groups_and_candidates(spec, sizes)?;
        let all_groups = product("groups of prototypes", &[sizes.batch.into(), sizes.heads.into(), groups.into()])?;
        let all_groups = fits_u32("groups of prototypes", all_groups)?;
        let frame = Sizes { frames: sizes.frames / groups, ..*sizes };
        let kind = match &spec.selection {
            Selection::Greedy(greedy) => {
                Kind::Greedy(GreedyBuffers::new(builder, greedy, spec.count, sizes, [groups, candidates, all_groups], workspace)?)
            }
            Selection::KMeans { iterations, seed, spherical } => {
                within("iterations of k-means", *iterations, u64::from(u16::MAX))?;
                let drawn = draw_listed(*seed, all_groups, candidates, spec.count);
                let first = listed(builder, "first centres", &drawn, all_groups)?;
                let sizes_of = [groups, candidates, spec.count];
                Kind::Clusters(ClusterBuffers::new(builder, sizes, sizes_of, (first, workspace), (*iterations, *spherical))?)
            }
            Selection::Random { seed } => {
                let drawn = draw_listed(*seed, all_groups, candidates, spec.count);
                Kind::Listed(listed(builder, "drawn prototypes", &drawn, all_groups)?)
            }
            Selection::Given(indices) => {
                check_given(indices, all_groups, spec.count, candidates)?;
                Kind::Listed(listed(builder, "given prototypes", indices, all_groups)?)
            }
            Selection::SegmentMeans if spec.candidates == Candidates::Queries => Kind::QueryMeans,
            Selection::SegmentMeans => {
                let order = patch_major(&frame);
                Kind::CopiedMeans { order: listed(builder, "patch-major order", &order, 1)?, copies: workspace }
            }
        };
        Ok(Self { spec: spec.clone(), groups, candidates, kind })
    }

    /// Chooses the prototypes of a problem, into `landmarks [items, heads, groups, R, D]`.
    pub fn plan(&self, builder: &PlanBuilder, problem: &Problem, landmarks: BufferId) -> Result<Vec<Stage>> {
        let numbers = u64::from(self.groups) * u64::from(self.spec.count) * u64::from(problem.sizes.head_size);
        let out = problem.scratch(builder, landmarks, numbers, problem.sizes.head_size)?;
        match &self.kind {
            Kind::Greedy(greedy) => greedy.plan(builder, problem, self, &out),
            Kind::Clusters(clusters) => clusters.plan(builder, problem, self, &out),
            Kind::Listed(list) => {
                let (indices, first) = self.of_groups(builder, problem, *list, self.spec.count)?;
                Ok(vec![Stage::Kernel(self.copy(builder, problem, (indices, first, self.spec.count), &out)?)])
            }
            Kind::QueryMeans => {
                Ok(vec![Stage::Kernel(segment_means(builder, problem, [self.spec.count, self.groups], &problem.q, &out)?)])
            }
            Kind::CopiedMeans { order, copies } => {
                let size = problem.sizes.head_size;
                let numbers = u64::from(self.groups) * u64::from(self.candidates) * u64::from(size);
                let copied = problem.scratch(builder, *copies, numbers, size)?;
                let copy = GatherRowsParams {
                    rows: self.candidates,
                    row_size: size,
                    padded_size: size,
                    out_group_stride: self.candidates * size,
                    out_row_stride: size,
                    out_block_stride: 4,
                    ..self.gather(problem)
                };
                let bindings = [problem.q.binding, problem.k.binding, builder.bind_all(*order)?, copied.binding];
                let copy = builder.dispatch("candidates in patch-major order", copy, &bindings)?;
                Ok(vec![Stage::Kernel(copy), Stage::Kernel(self.copied_means(builder, problem, &copied, &out)?)])
            }
        }
    }

    /// Adds the output `indices [B*H, R]` (`[B*H, F, R]` with prototypes per frame) of a greedy selection.
    pub fn output_indices(&mut self, builder: &mut PlanBuilder, sizes: &Sizes) -> Result<()> {
        let groups = self.groups;
        match &mut self.kind {
            Kind::Greedy(greedy) => greedy.output_indices(builder, sizes, groups),
            _ => Ok(()),
        }
    }

    /// The problem's part of a constant `[all groups, width]`, and the first element used.
    pub fn of_groups(&self, builder: &PlanBuilder, problem: &Problem, list: BufferId, width: u32) -> Result<(Binding, u32)> {
        let group = u64::from(self.groups) * u64::from(width);
        let first = u64::from(problem.first_item) * u64::from(problem.sizes.heads) * group;
        builder.bind(list, first, u64::from(problem.item_heads()) * group)
    }

    /// Copies of candidates; which, and where to, is left to the caller.
    pub fn gather(&self, problem: &Problem) -> GatherRowsParams {
        let (q, k, sizes) = (&problem.q, &problem.k, &problem.sizes);
        let tokens = sizes.tokens() / self.groups;
        GatherRowsParams {
            batch: problem.items,
            heads: sizes.heads,
            groups: self.groups,
            queries: tokens,
            keys: self.candidates - tokens,
            q_offset: q.offset,
            q_batch_stride: q.batch_stride,
            q_head_stride: q.head_stride,
            q_group_stride: tokens * q.row_stride,
            q_row_stride: q.row_stride,
            k_offset: k.offset,
            k_batch_stride: k.batch_stride,
            k_head_stride: k.head_stride,
            k_group_stride: tokens * k.row_stride,
            k_row_stride: k.row_stride,
            ..GatherRowsParams::default()
        }
    }

    /// Copies of candidates as they are: `(indices, first one, from a group's to the next's)`.
    pub fn copy(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        indices: (Binding, u32, u32),
        out: &Vectors,
    ) -> Result<Dispatch> {
        self.copy_scaled(builder, problem, indices, out, false)
    }

    /// Copies of candidates, scaled to length one if asked for.
    pub fn copy_scaled(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        (indices, index_offset, index_group_stride): (Binding, u32, u32),
        out: &Vectors,
        normalise: bool,
    ) -> Result<Dispatch> {
        let size = problem.sizes.head_size;
        let params = GatherRowsParams {
            rows: self.spec.count,
            row_size: size,
            padded_size: size,
            normalise: normalise.into(),
            index_offset,
            index_group_stride,
            out_offset: out.offset,
            out_group_stride: self.spec.count * size,
            out_row_stride: size,
            out_block_stride: 4,
            ..self.gather(problem)
        };
        builder.dispatch("prototypes", params, &[problem.q.binding, problem.k.binding, indices, out.binding])
    }

    fn copied_means(&self, builder: &PlanBuilder, problem: &Problem, copied: &Vectors, out: &Vectors) -> Result<Dispatch> {
        let params = SegmentMeansParams {
            batch: problem.items,
            heads: problem.sizes.heads,
            groups: self.groups,
            frames: 1,
            x_group_stride: self.candidates * copied.row_stride,
            out_offset: out.offset,
            ..segments_of(self.candidates, self.spec.count, problem.sizes.head_size, copied)
        };
        builder.dispatch("segment means", params, &[copied.binding, out.binding])
    }
}

/// Groups of a head and candidates of a group, if the prototypes are at least one and at most those.
pub(in crate::ops) fn groups_and_candidates(spec: &Prototypes, sizes: &Sizes) -> Result<[u32; 2]> {
    let groups = if spec.per_frame { sizes.frames } else { 1 };
    let sources = if spec.candidates == Candidates::Queries { 1 } else { 2 };
    let candidates = (sizes.tokens() / groups).saturating_mul(sources);
    within("candidates", candidates, MAX_CANDIDATES.into())?;
    within("prototypes", spec.count, candidates.into())?;
    Ok([groups, candidates])
}

/// Numbers that the copies of a head's candidates take while prototypes are chosen.
pub(in crate::ops) fn candidate_numbers(spec: &Prototypes, sizes: &Sizes) -> Result<u32> {
    let [groups, candidates] = groups_and_candidates(spec, sizes)?;
    let size = match spec.selection {
        Selection::Greedy(_) => sizes.head_size.next_multiple_of(16),
        Selection::KMeans { .. } => sizes.head_size.next_multiple_of(4),
        Selection::SegmentMeans if spec.candidates == Candidates::QueriesAndKeys => sizes.head_size,
        _ => return Ok(0),
    };
    let numbers = product("numbers of a head's candidates", &[groups, candidates, size].map(u64::from))?;
    fits_u32("numbers of a head's candidates", numbers)
}

/// A constant of whole numbers as float32, for each of `groups`.
pub(super) fn listed(builder: &mut PlanBuilder, name: &str, numbers: &[u32], groups: u32) -> Result<BufferId> {
    let words: Vec<u32> = numbers.iter().map(|&number| (number as f32).to_bits()).collect();
    let width = words.len() as u64 / u64::from(groups.max(1));
    builder.buffer(name, &[groups.into(), width], Role::Constant(words))
}

fn draw_listed(seed: u64, groups: u32, candidates: u32, count: u32) -> Vec<u32> {
    (0..u64::from(groups)).flat_map(|group| draw::places(seed, Use::Prototypes, group, candidates, count, None)).collect()
}

fn check_given(indices: &[u32], groups: u32, count: u32, candidates: u32) -> Result<()> {
    if indices.len() as u64 != u64::from(groups) * u64::from(count) {
        let expected = format!("{count} for each of {groups} groups");
        return Err(Error::WrongShape { name: "given prototypes".to_owned(), found: vec![indices.len()], expected });
    }
    match indices.iter().find(|&&index| index >= candidates) {
        Some(&index) => Err(Error::OutOfRange { what: "given prototype", index: index.into(), count: candidates.into() }),
        None => Ok(()),
    }
}

/// Indices of queries, then of keys, place by place instead of frame by frame.
fn patch_major(sizes: &Sizes) -> Vec<u32> {
    let of_one = |first: u32| {
        (0..sizes.patches).flat_map(move |patch| (0..sizes.frames).map(move |frame| first + frame * sizes.patches + patch))
    };
    of_one(0).chain(of_one(sizes.tokens())).collect()
}

//! Prototypes of every group: their candidates, and the simple ways to choose them. See [`super::greedy`] and
//! [`super::clusters`] for the others.

use super::clusters::ClusterBuffers;
use super::greedy::GreedyBuffers;
use super::nystrom::segment_means;
use super::operands::{Problem, Sizes};
use super::{Candidates, Prototypes, Selection, within};
use crate::draw::{self, Use};
use crate::error::{Error, Result};
use crate::kernel::{GatherRows, SegmentMeans};
use crate::plan::{BufferId, Dispatch, PlanBuilder, Role, Stage};
use crate::shape::{MAX_CANDIDATES, fits_u32, product};
use crate::view::View;

/// Buffers of a choice of prototypes.
pub(in crate::ops) struct PrototypeBuffers {
    spec: Prototypes,
    /// Groups of a head: 1, or its frames.
    pub groups: u32,
    /// Candidates of a group.
    candidates: u32,
    kind: Kind,
}

#[allow(clippy::large_enum_variant, reason = "made once a plan")]
enum Kind {
    Greedy(GreedyBuffers),
    Clusters(ClusterBuffers),
    /// Candidates of these indices, as a constant `[all groups, R]`.
    Listed(View),
    /// Means of queries in their own order.
    QueryMeans,
    /// Means of queries and keys: an order to copy them in, and the copies.
    CopiedMeans {
        order: View,
        copies: BufferId,
    },
}

impl PrototypeBuffers {
    /// `workspace` is a scratch buffer of at least [`candidate_elements`] for each head, free until the prototypes are chosen.
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
        let size = problem.sizes.head_size;
        let out = problem.scratch(landmarks, &[self.groups, self.spec.count, size]);
        match &self.kind {
            Kind::Greedy(greedy) => greedy.plan(builder, problem, self, out),
            Kind::Clusters(clusters) => clusters.plan(builder, problem, self, out),
            Kind::Listed(list) => {
                let indices = self.of_groups(problem, *list);
                Ok(vec![Stage::Kernel(self.copy(builder, problem, indices, out, false)?)])
            }
            Kind::QueryMeans => Ok(vec![Stage::Kernel(segment_means(builder, problem, self.groups, problem.q, out.join(2))?)]),
            Kind::CopiedMeans { order, copies } => {
                let copied = problem.scratch(*copies, &[self.groups, self.candidates, size]);
                let (queries, keys) = self.candidates(problem);
                let copy = GatherRows { queries, keys, indices: *order, copies: Some(copied), copy_blocks: None, normalise: 0 };
                let copy = builder.make("candidates in patch-major order", copy)?;
                // In that order all of them are patches of one frame.
                let means = SegmentMeans { x: copied.with_axis(3, 1), means: out };
                Ok(vec![Stage::Kernel(copy), Stage::Kernel(builder.make("segment means", means)?)])
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

    /// The problem's part of a constant `[all groups, width]`: `[items, heads, groups, width]`.
    pub fn of_groups(&self, problem: &Problem, list: View) -> View {
        let [heads, groups] = [problem.sizes.heads, self.groups].map(u64::from);
        let of_item = heads * groups;
        let own = list.part(0, u64::from(problem.first_item) * of_item, u64::from(problem.items) * of_item);
        own.split(0, of_item).split(1, groups)
    }

    /// Candidates that are queries, and those that are keys: `[items, heads, groups, candidates, D]`.
    pub fn candidates(&self, problem: &Problem) -> (View, Option<View>) {
        let tokens = problem.sizes.tokens() / self.groups;
        let by_group = |view: View| view.split(2, tokens.into());
        (by_group(problem.q), (self.candidates > tokens).then(|| by_group(problem.k)))
    }

    /// Copies of candidates `indices [items, heads, groups, R]` into `out [items, heads, groups, R, D]`, scaled to length one if asked for.
    pub fn copy(&self, builder: &PlanBuilder, problem: &Problem, indices: View, out: View, normalise: bool) -> Result<Dispatch> {
        let (queries, keys) = self.candidates(problem);
        let normalise = normalise.into();
        builder.make("prototypes", GatherRows { queries, keys, indices, copies: Some(out), copy_blocks: None, normalise })
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

/// Elements that the copies of a head's candidates take while prototypes are chosen.
pub(in crate::ops) fn candidate_elements(spec: &Prototypes, sizes: &Sizes) -> Result<u32> {
    let [groups, candidates] = groups_and_candidates(spec, sizes)?;
    let size = match spec.selection {
        Selection::Greedy(_) => sizes.head_size.next_multiple_of(16),
        Selection::KMeans { .. } => sizes.head_size.next_multiple_of(4),
        Selection::SegmentMeans if spec.candidates == Candidates::QueriesAndKeys => sizes.head_size,
        _ => return Ok(0),
    };
    let elements = product("elements of a head's candidates", &[groups, candidates, size].map(u64::from))?;
    fits_u32("elements of a head's candidates", elements)
}

/// A constant of integers as float32, for each of `groups`: `[groups, width]`.
pub(super) fn listed(builder: &mut PlanBuilder, name: &str, elements: &[u32], groups: u32) -> Result<View> {
    let words: Vec<u32> = elements.iter().map(|&number| (number as f32).to_bits()).collect();
    let width = words.len() as u64 / u64::from(groups.max(1));
    builder.array(name, &[groups.into(), width], Role::Constant(words))
}

fn draw_listed(seed: u64, groups: u32, candidates: u32, count: u32) -> Vec<u32> {
    (0..u64::from(groups)).flat_map(|group| draw::indices(seed, Use::Prototypes, group, candidates, count, None)).collect()
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

/// Indices of queries, then of keys, position by position instead of frame by frame.
fn patch_major(sizes: &Sizes) -> Vec<u32> {
    let of_one = |first: u32| {
        (0..sizes.patches).flat_map(move |patch| (0..sizes.frames).map(move |frame| first + frame * sizes.patches + patch))
    };
    of_one(0).chain(of_one(sizes.tokens())).collect()
}

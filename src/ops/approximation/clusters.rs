//! Prototypes as means of clusters: Lloyd's algorithm from candidates drawn at random, by distance (k-means) or by angle (spherical).

use super::operands::{Problem, Sizes};
use super::prototypes::{PrototypeBuffers, listed};
use crate::error::Result;
use crate::kernel::{ClusterMeans, GatherRows, Nearest};
use crate::plan::{BufferId, Dispatch, PlanBuilder, Stage};
use crate::view::View;

/// Buffers of a clustering.
pub(super) struct ClusterBuffers {
    groups: u32,
    candidates: u32,
    count: u32,
    iterations: u32,
    /// Candidates as they are, in blocks of four columns, from the start of a shared buffer.
    rows: BufferId,
    /// The same scaled to length one, for clusters by angle.
    directions: Option<BufferId>,
    /// `0, 1, 2, ...`, and the first centres `[all groups, R]`, as candidates' indices.
    order: View,
    first: View,
    assignments: BufferId,
    centres: [BufferId; 2],
}

impl ClusterBuffers {
    pub fn new(
        builder: &mut PlanBuilder,
        sizes: &Sizes,
        [groups, candidates, count]: [u32; 3],
        (first, workspace): (View, BufferId),
        (iterations, spherical): (u32, bool),
    ) -> Result<Self> {
        let padded = sizes.head_size.next_multiple_of(4);
        let order: Vec<u32> = (0..candidates).collect();
        Ok(Self {
            groups,
            candidates,
            count,
            iterations,
            rows: workspace,
            directions: match spherical {
                true => Some(sizes.scratch(builder, "candidate directions", &[groups, padded, candidates])?),
                false => None,
            },
            order: listed(builder, "candidate indices", &order, 1)?,
            first,
            assignments: sizes.scratch(builder, "clusters", &[groups, candidates])?,
            centres: [
                sizes.scratch(builder, "centres", &[groups, count, sizes.head_size])?,
                sizes.scratch(builder, "next centres", &[groups, count, sizes.head_size])?,
            ],
        })
    }

    /// Chooses the prototypes of a problem, into `out [items, heads, groups, R, D]`.
    pub fn plan(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers, out: View) -> Result<Vec<Stage>> {
        let axes = [self.groups, self.count, problem.sizes.head_size];
        let [mut centres, mut next] = self.centres.map(|buffer| problem.scratch(buffer, &axes));
        let mut dispatches = vec![self.copy_all(builder, problem, of, (self.rows, false))?];
        let mut compared = self.rows;
        if let Some(directions) = self.directions {
            compared = directions;
            dispatches.push(self.copy_all(builder, problem, of, (directions, true))?);
        }
        let first = of.of_groups(problem, self.first);
        dispatches.push(of.copy(builder, problem, first, centres, self.directions.is_some())?);
        for iteration in 0..self.iterations {
            let last = iteration + 1 == self.iterations;
            dispatches.push(self.nearest(builder, problem, compared, centres)?);
            if last {
                // An empty cluster becomes its first candidate again, whatever its centre is.
                dispatches.push(of.copy(builder, problem, first, next, false)?);
                dispatches.push(self.means(builder, problem, self.rows, (next, out))?);
                break;
            }
            dispatches.push(self.means(builder, problem, compared, (centres, next))?);
            (centres, next) = (next, centres);
        }
        Ok(dispatches.into_iter().map(Stage::Kernel).collect())
    }

    /// Candidates in blocks of four columns, `[items, heads, groups, blocks, candidates]`.
    fn blocks(&self, problem: &Problem, buffer: BufferId) -> View {
        let blocks = problem.sizes.head_size.div_ceil(4);
        problem.scratch(buffer, &[self.groups, blocks, self.candidates, 4]).index(5, 0)
    }

    fn copy_all(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        of: &PrototypeBuffers,
        (out, normalise): (BufferId, bool),
    ) -> Result<Dispatch> {
        let (queries, keys) = of.candidates(problem);
        let request = GatherRows {
            queries,
            keys,
            indices: self.order,
            copies: None,
            copy_blocks: Some(self.blocks(problem, out)),
            normalise: normalise.into(),
        };
        builder.make("candidates", request)
    }

    fn nearest(&self, builder: &PlanBuilder, problem: &Problem, rows: BufferId, centres: View) -> Result<Dispatch> {
        let request = Nearest {
            x: all_groups(self.blocks(problem, rows)),
            centres: all_groups(centres),
            assignments: self.assignments(problem),
            spherical: self.directions.is_some().into(),
        };
        builder.make("nearest centres", request)
    }

    fn means(&self, builder: &PlanBuilder, problem: &Problem, rows: BufferId, (centres, out): (View, View)) -> Result<Dispatch> {
        let request = ClusterMeans {
            x: all_groups(self.blocks(problem, rows)),
            assignments: self.assignments(problem),
            centres: all_groups(centres),
            means: all_groups(out),
        };
        builder.make("cluster means", request)
    }

    /// The centre of each candidate, `[items * heads * groups, candidates]`.
    fn assignments(&self, problem: &Problem) -> View {
        all_groups(problem.scratch(self.assignments, &[self.groups, self.candidates]))
    }
}

/// Items, heads and groups of a scratch buffer in one axis.
pub(super) fn all_groups(view: View) -> View {
    view.join(0).join(0)
}

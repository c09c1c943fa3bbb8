//! Prototypes as means of clusters: Lloyd's algorithm from candidates drawn at random, by distance (k-means) or by angle (spherical).

use super::operands::{Problem, Sizes, Vectors};
use super::prototypes::{PrototypeBuffers, listed};
use crate::error::Result;
use crate::params::{ClusterMeansParams, GatherRowsParams, NearestParams};
use crate::plan::{Binding, BufferId, Dispatch, PlanBuilder, Stage};

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
    /// `0, 1, 2, ...`, and the first centres `[all groups, R]`, as candidates' numbers.
    order: BufferId,
    first: BufferId,
    assignments: BufferId,
    centres: [BufferId; 2],
}

impl ClusterBuffers {
    pub fn new(
        builder: &mut PlanBuilder,
        sizes: &Sizes,
        [groups, candidates, count]: [u32; 3],
        (first, workspace): (BufferId, BufferId),
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

    pub fn plan(&self, builder: &PlanBuilder, problem: &Problem, of: &PrototypeBuffers, out: &Vectors) -> Result<Vec<Stage>> {
        let size = problem.sizes.head_size;
        let numbers = u64::from(self.groups) * u64::from(self.count) * u64::from(size);
        let [centres, next] = self.centres.map(|buffer| problem.scratch(builder, buffer, numbers, size));
        let (mut centres, mut next) = (centres?, next?);
        let rows = self.blocks(builder, problem, self.rows)?;
        let mut dispatches = vec![self.copy_all(builder, problem, of, (rows, false))?];
        let mut compared = rows;
        if let Some(directions) = self.directions {
            compared = self.blocks(builder, problem, directions)?;
            dispatches.push(self.copy_all(builder, problem, of, (compared, true))?);
        }
        let (indices, first) = of.of_groups(builder, problem, self.first, self.count)?;
        let spherical = self.directions.is_some();
        dispatches.push(of.copy_scaled(builder, problem, (indices, first, self.count), &centres, spherical)?);
        for iteration in 0..self.iterations {
            let last = iteration + 1 == self.iterations;
            dispatches.push(self.nearest(builder, problem, compared, &centres)?);
            if last {
                // A cluster that is empty now becomes the candidate it began with, whatever has become of its centre.
                dispatches.push(of.copy(builder, problem, (indices, first, self.count), &next)?);
                dispatches.push(self.means(builder, problem, rows, (&next, out))?);
                break;
            }
            dispatches.push(self.means(builder, problem, compared, (&centres, &next))?);
            (centres, next) = (next, centres);
        }
        Ok(dispatches.into_iter().map(Stage::Kernel).collect())
    }

    fn blocks(&self, builder: &PlanBuilder, problem: &Problem, buffer: BufferId) -> Result<Binding> {
        let group = u64::from(self.block_stride(problem));
        Ok(builder.bind(buffer, 0, u64::from(problem.item_heads()) * u64::from(self.groups) * group)?.0)
    }

    fn block_stride(&self, problem: &Problem) -> u32 {
        problem.sizes.head_size.next_multiple_of(4) * self.candidates
    }

    fn copy_all(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        of: &PrototypeBuffers,
        (out, normalise): (Binding, bool),
    ) -> Result<Dispatch> {
        let params = GatherRowsParams {
            rows: self.candidates,
            row_size: problem.sizes.head_size,
            padded_size: problem.sizes.head_size.next_multiple_of(4),
            normalise: normalise.into(),
            out_group_stride: self.block_stride(problem),
            out_row_stride: 4,
            out_block_stride: 4 * self.candidates,
            ..of.gather(problem)
        };
        let bindings = [problem.q.binding, problem.k.binding, builder.bind_all(self.order)?, out];
        builder.dispatch("candidates", params, &bindings)
    }

    fn nearest(&self, builder: &PlanBuilder, problem: &Problem, rows: Binding, centres: &Vectors) -> Result<Dispatch> {
        let params = NearestParams {
            groups: problem.item_heads() * self.groups,
            rows: self.candidates,
            centres: self.count,
            size: problem.sizes.head_size,
            spherical: self.directions.is_some().into(),
            x_group_stride: self.block_stride(problem),
            c_offset: centres.offset,
            c_group_stride: self.count * problem.sizes.head_size,
            out_group_stride: self.candidates,
            ..NearestParams::default()
        };
        builder.dispatch("nearest centres", params, &[rows, centres.binding, self.bind_assignments(builder, problem)?])
    }

    fn means(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        rows: Binding,
        (centres, out): (&Vectors, &Vectors),
    ) -> Result<Dispatch> {
        let params = ClusterMeansParams {
            groups: problem.item_heads() * self.groups,
            rows: self.candidates,
            centres: self.count,
            size: problem.sizes.head_size,
            x_group_stride: self.block_stride(problem),
            a_group_stride: self.candidates,
            c_offset: centres.offset,
            c_group_stride: self.count * problem.sizes.head_size,
            out_offset: out.offset,
            ..ClusterMeansParams::default()
        };
        let bindings = [rows, self.bind_assignments(builder, problem)?, centres.binding, out.binding];
        builder.dispatch("cluster means", params, &bindings)
    }

    fn bind_assignments(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Binding> {
        let count = u64::from(problem.item_heads()) * u64::from(self.groups) * u64::from(self.candidates);
        Ok(builder.bind(self.assignments, 0, count)?.0)
    }
}

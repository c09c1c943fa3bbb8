//! Performer attention: `t[n,f] = sum_m phi_m(q_n) sum_s phi_m(k_{f,s}) v_{f,s} / sum_m phi_m(q_n) sum_s phi_m(k_{f,s})`, with positive random features
//! `phi_m(x) = exp(w_m . x' - |x'|^2 / 2 - max) + 1e-6`, `x' = x / D^(1/4)`, as in the published code (its max is that of the row for queries, and
//! of all tokens of the head for keys).

use super::operands::{Problem, Sizes};
use super::{FeatureProjection, Performer, within};
use crate::draw::orthogonal_projection;
use crate::error::Result;
use crate::kernel::{FeatureAttend, FeatureRows, Features, Linear};
use crate::ops::chunks::Chunk;
use crate::ops::kit::parts;
use crate::plan::{BufferId, Dispatch, PlanBuilder, Role, Stage};
use crate::shape::{MAX_LOOP, MAX_VALUE_SIZE};
use crate::view::View;

/// Buffers of Performer attention.
pub(in crate::ops) struct PerformerBuffers {
    /// `M`.
    pub features: u32,
    /// `[M, D]`.
    projection: View,
    /// The constant one.
    one: View,
    /// Features of keys `[items, heads, N, M]`, and of the queries of a chunk `[items, heads, rows, M]`.
    key_features: BufferId,
    query_features: BufferId,
    /// Pairs of `feature_rows`.
    stats: BufferId,
    /// Sums of key features times values `[items, heads, F, M, D]`, and of key features alone `[items, heads, F, M]`.
    key_values: BufferId,
    key_sums: BufferId,
}

impl PerformerBuffers {
    pub fn new(builder: &mut PlanBuilder, spec: &Performer, sizes: &Sizes, rows: u32) -> Result<Self> {
        let features = within("features", spec.features, MAX_LOOP.into())?;
        let (frames, size) = (sizes.frames, sizes.head_size);
        let role = match spec.projection {
            FeatureProjection::Given => Role::Input,
            FeatureProjection::Drawn { seed } => {
                let drawn = orthogonal_projection(seed, features as usize, size as usize);
                Role::Constant(drawn.into_iter().map(f32::to_bits).collect())
            }
        };
        Ok(Self {
            features,
            projection: builder.array("projection", &[features.into(), size.into()], role)?,
            one: builder.array("one", &[1], Role::Constant(vec![1f32.to_bits()]))?,
            key_features: sizes.scratch(builder, "key features", &[sizes.tokens(), features])?,
            query_features: sizes.scratch(builder, "query features", &[rows, features])?,
            stats: sizes.scratch(builder, "lengths and peaks", &[sizes.tokens().max(rows), 2])?,
            key_values: sizes.scratch(builder, "key features times values", &[frames, features, size])?,
            key_sums: sizes.scratch(builder, "sums of key features", &[frames, features])?,
        })
    }

    pub fn prepare(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vec<Stage>> {
        let mut stages = self.key_sums_only(builder, problem)?;
        let views = [self.features_of_keys(problem), problem.v].map(|tokens| problem.by_frame(tokens));
        for [features, values, key_values] in problem.outer([views[0], views[1], self.key_values(problem)]) {
            // A row for each feature, summed over the keys of a frame.
            let request = Linear::new(features.ordered(&[0, 1, 3, 2]), values.ordered(&[0, 1, 3, 2]), key_values);
            stages.push(Stage::Kernel(builder.make("key features times values", request)?));
        }
        Ok(stages)
    }

    /// The features of the keys, and their sums in each frame.
    pub fn key_sums_only(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vec<Stage>> {
        let features = self.features_of_keys(problem);
        let mut dispatches = self.make_features(builder, problem, problem.k, features, true)?;
        for [features, sums] in problem.outer([problem.by_frame(features), self.key_sums(problem)]) {
            let ones = self.one.with_axis(1, problem.sizes.patches.into());
            let request = Linear::new(features.ordered(&[0, 1, 3, 2]), ones, sums.with_axis(3, 1));
            dispatches.push(builder.make("sums of key features", request)?);
        }
        Ok(dispatches.into_iter().map(Stage::Kernel).collect())
    }

    /// The trajectory tokens of a chunk, `[items, heads, rows, F, D]`.
    pub fn tokens(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk, out: View) -> Result<Vec<Dispatch>> {
        let (mut dispatches, queries) = self.query_features(builder, problem, chunk)?;
        let (key_values, key_sums) = (self.key_values(problem), self.key_sums(problem));
        for (first, count) in parts(out.size(4), MAX_VALUE_SIZE.into()) {
            let own = |view: View| view.part(4, first, count);
            let request = FeatureAttend { queries, key_values: own(key_values), key_sums, tokens: own(out) };
            dispatches.push(builder.make("trajectory tokens", request)?);
        }
        Ok(dispatches)
    }

    /// The features of a chunk's queries, and their view `[items, heads, rows, M]`.
    pub fn query_features(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk) -> Result<(Vec<Dispatch>, View)> {
        let features = problem.scratch(self.query_features, &[chunk.count(), self.features]);
        Ok((self.make_features(builder, problem, problem.queries(chunk), features, false)?, features))
    }

    /// Features of the keys, `[items, heads, N, M]`.
    pub fn features_of_keys(&self, problem: &Problem) -> View {
        problem.scratch(self.key_features, &[problem.sizes.tokens(), self.features])
    }

    /// `[items, heads, F, M, D]`.
    fn key_values(&self, problem: &Problem) -> View {
        problem.scratch(self.key_values, &[problem.sizes.frames, self.features, problem.sizes.head_size])
    }

    /// `[items, heads, F, M]`.
    pub fn key_sums(&self, problem: &Problem) -> View {
        problem.scratch(self.key_sums, &[problem.sizes.frames, self.features])
    }

    /// Projections of vectors `x [items, heads, rows, D]`, and the features that overwrite them.
    fn make_features(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        x: View,
        out: View,
        shared_max: bool,
    ) -> Result<Vec<Dispatch>> {
        let stats = problem.scratch(self.stats, &[x.size(2) as u32, 2]);
        let project = Linear { product_scale: problem.scale.sqrt(), ..Linear::new(x, self.projection, out) };
        let of_rows = FeatureRows { x, projections: out, stats, square_scale: problem.scale };
        Ok(vec![
            builder.make("projections", project)?,
            builder.make("lengths and peaks", of_rows)?,
            builder.make("features", Features { stats, projections: out, shared_max: shared_max.into() })?,
        ])
    }
}

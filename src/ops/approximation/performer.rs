//! Performer attention: `t[n,f] = sum_m phi_m(q_n) sum_s phi_m(k_{f,s}) v_{f,s} / sum_m phi_m(q_n) sum_s phi_m(k_{f,s})`, with positive random features
//! `phi_m(x) = exp(w_m . x' - |x'|^2 / 2 - peak) + 1e-6`, `x' = x / D^(1/4)`, as the published code has them (its peak is that of the row for queries, and
//! of all tokens of the head for keys).

use super::operands::{Outer, Problem, Sizes, TokensOut, Vectors};
use super::{FeatureProjection, Performer, within};
use crate::draw::orthogonal_projection;
use crate::error::Result;
use crate::ops::chunks::Chunk;
use crate::params::{FeatureAttendParams, FeatureRowsParams, FeaturesParams, LinearParams};
use crate::plan::{Binding, BufferId, Dispatch, PlanBuilder, Role, Stage};
use crate::shape::MAX_LOOP;

/// Buffers of Performer attention.
pub(in crate::ops) struct PerformerBuffers {
    /// `M`.
    pub features: u32,
    /// `[M, D]`.
    projection: BufferId,
    /// The constant one.
    one: BufferId,
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
            projection: builder.buffer("projection", &[features.into(), size.into()], role)?,
            one: builder.buffer("one", &[1], Role::Constant(vec![1f32.to_bits()]))?,
            key_features: sizes.scratch(builder, "key features", &[sizes.tokens(), features])?,
            query_features: sizes.scratch(builder, "query features", &[rows, features])?,
            stats: sizes.scratch(builder, "lengths and peaks", &[sizes.tokens().max(rows), 2])?,
            key_values: sizes.scratch(builder, "key features times values", &[frames, features, size])?,
            key_sums: sizes.scratch(builder, "sums of key features", &[frames, features])?,
        })
    }

    pub fn prepare(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vec<Stage>> {
        let mut stages = self.key_sums_only(builder, problem)?;
        let (sizes, v) = (&problem.sizes, &problem.v);
        let features = self.features_of(builder, problem, self.key_features, sizes.tokens())?;
        let key_values = self.key_values(builder, problem)?;
        for outer in problem.outer() {
            let params = LinearParams {
                outputs: sizes.head_size,
                w_offset: outer.offset(v),
                w_batch_stride: outer.stride(v),
                w_group_stride: sizes.patches * v.row_stride,
                w_output_stride: 1,
                w_input_stride: v.row_stride,
                y_offset: outer.offset(&key_values),
                y_batch_stride: outer.stride(&key_values),
                y_group_stride: self.features * sizes.head_size,
                y_row_stride: sizes.head_size,
                ..self.sum_over_keys(problem, &outer, &features)
            };
            let bindings = [features.binding, v.binding, v.binding, v.binding, key_values.binding];
            stages.push(Stage::Kernel(builder.dispatch("key features times values", params, &bindings)?));
        }
        Ok(stages)
    }

    /// The features of the keys, and their sums in each frame.
    pub fn key_sums_only(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vec<Stage>> {
        let tokens = problem.sizes.tokens();
        let features = self.features_of(builder, problem, self.key_features, tokens)?;
        let mut dispatches = self.make_features(builder, problem, &problem.k, tokens, &features, true)?;
        let (sums, one) = (self.key_sums(builder, problem)?, builder.bind_all(self.one)?);
        for outer in problem.outer() {
            let params = LinearParams {
                outputs: 1,
                w_input_stride: 0,
                y_offset: outer.offset(&sums),
                y_batch_stride: outer.stride(&sums),
                y_group_stride: self.features,
                y_row_stride: 1,
                ..self.sum_over_keys(problem, &outer, &features)
            };
            dispatches.push(builder.dispatch(
                "sums of key features",
                params,
                &[features.binding, one, one, one, sums.binding],
            )?);
        }
        Ok(dispatches.into_iter().map(Stage::Kernel).collect())
    }

    /// A product that sums over the keys of each frame, with a row for each feature.
    fn sum_over_keys(&self, problem: &Problem, outer: &Outer, features: &Vectors) -> LinearParams {
        LinearParams {
            batch: outer.count,
            groups: problem.sizes.frames,
            rows: self.features,
            inputs: problem.sizes.patches,
            x_offset: outer.offset(features),
            x_batch_stride: outer.stride(features),
            x_group_stride: problem.sizes.patches * self.features,
            x_row_stride: 1,
            x_input_stride: self.features,
            ..LinearParams::plain()
        }
    }

    pub fn tokens(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk, out: &TokensOut) -> Result<Vec<Dispatch>> {
        let (mut dispatches, features) = self.query_features(builder, problem, chunk)?;
        let (key_values, key_sums) = (self.key_values(builder, problem)?, self.key_sums(builder, problem)?);
        let sizes = &problem.sizes;
        let params = FeatureAttendParams {
            batch: problem.items,
            heads: sizes.heads,
            rows: chunk.count(),
            segments: sizes.frames,
            features: self.features,
            value_size: sizes.head_size,
            q_offset: features.offset,
            q_batch_stride: features.batch_stride,
            q_head_stride: features.head_stride,
            q_row_stride: features.row_stride,
            kv_offset: key_values.offset,
            kv_batch_stride: key_values.batch_stride,
            kv_head_stride: key_values.head_stride,
            kv_segment_stride: self.features * sizes.head_size,
            kv_feature_stride: sizes.head_size,
            kv_value_stride: 1,
            k_offset: key_sums.offset,
            k_batch_stride: key_sums.batch_stride,
            k_head_stride: key_sums.head_stride,
            k_segment_stride: self.features,
            out_offset: out.rows.offset,
            out_batch_stride: out.rows.batch_stride,
            out_head_stride: out.rows.head_stride,
            out_row_stride: out.rows.row_stride,
            out_segment_stride: out.segment_stride,
        };
        let bindings = [features.binding, key_values.binding, key_sums.binding, out.rows.binding];
        dispatches.push(builder.dispatch("trajectory tokens", params, &bindings)?);
        Ok(dispatches)
    }

    /// The features of a chunk's queries, and where they lie.
    pub fn query_features(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk) -> Result<(Vec<Dispatch>, Vectors)> {
        let queries = Vectors { offset: problem.q.offset + chunk.first_row * problem.q.row_stride, ..problem.q };
        let features = self.features_of(builder, problem, self.query_features, chunk.count())?;
        Ok((self.make_features(builder, problem, &queries, chunk.count(), &features, false)?, features))
    }

    /// Attention itself, for one item of one head: the features of the keys are what tokens are summed of, a number for each patch.
    pub fn attention_params(&self, problem: &Problem) -> FeatureAttendParams {
        FeatureAttendParams {
            batch: 1,
            features: self.features,
            q_row_stride: self.features,
            kv_segment_stride: problem.sizes.patches * self.features,
            kv_feature_stride: 1,
            kv_value_stride: self.features,
            k_segment_stride: self.features,
            ..FeatureAttendParams::default()
        }
    }

    pub fn attention_bindings(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        queries: Binding,
        out: Binding,
    ) -> Result<[Binding; 4]> {
        let keys = self.features_of(builder, problem, self.key_features, problem.sizes.tokens())?;
        Ok([queries, keys.binding, self.key_sums(builder, problem)?.binding, out])
    }

    fn features_of(&self, builder: &PlanBuilder, problem: &Problem, buffer: BufferId, rows: u32) -> Result<Vectors> {
        problem.scratch(builder, buffer, u64::from(rows) * u64::from(self.features), self.features)
    }

    fn key_values(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vectors> {
        let sizes = &problem.sizes;
        let numbers = u64::from(sizes.frames) * u64::from(self.features) * u64::from(sizes.head_size);
        problem.scratch(builder, self.key_values, numbers, sizes.head_size)
    }

    fn key_sums(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vectors> {
        problem.scratch(builder, self.key_sums, u64::from(problem.sizes.frames) * u64::from(self.features), 1)
    }

    /// Projections of `rows` vectors a head, and the features they become in their place.
    fn make_features(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        x: &Vectors,
        rows: u32,
        out: &Vectors,
        shared_peak: bool,
    ) -> Result<Vec<Dispatch>> {
        let (sizes, projection) = (&problem.sizes, builder.bind_all(self.projection)?);
        let project = LinearParams {
            batch: problem.items,
            groups: sizes.heads,
            rows,
            inputs: sizes.head_size,
            outputs: self.features,
            x_offset: x.offset,
            x_batch_stride: x.batch_stride,
            x_group_stride: x.head_stride,
            x_row_stride: x.row_stride,
            w_output_stride: sizes.head_size,
            y_offset: out.offset,
            y_batch_stride: out.batch_stride,
            y_group_stride: out.head_stride,
            y_row_stride: out.row_stride,
            product_scale: problem.scale.sqrt(),
            ..LinearParams::plain()
        };
        let stats = problem.scratch(builder, self.stats, 2 * u64::from(rows), 2)?;
        let of_rows = FeatureRowsParams {
            batch: problem.items,
            heads: sizes.heads,
            rows,
            size: sizes.head_size,
            features: self.features,
            square_scale: problem.scale,
            x_offset: x.offset,
            x_batch_stride: x.batch_stride,
            x_head_stride: x.head_stride,
            x_row_stride: x.row_stride,
            d_offset: out.offset,
            out_offset: stats.offset,
        };
        let to_features = FeaturesParams {
            batch: problem.items,
            heads: sizes.heads,
            rows,
            features: self.features,
            shared_peak: shared_peak.into(),
            stats_offset: stats.offset,
            out_offset: out.offset,
        };
        Ok(vec![
            builder.dispatch("projections", project, &[x.binding, projection, projection, projection, out.binding])?,
            builder.dispatch("lengths and peaks", of_rows, &[x.binding, out.binding, stats.binding])?,
            builder.dispatch("features", to_features, &[stats.binding, out.binding])?,
        ])
    }
}

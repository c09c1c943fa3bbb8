//! Nyström attention: `t[:,f] = softmax(q lk') pinv(softmax(lq lk')) softmax_f(lq k') v`, with segment means `lq`, `lk` of queries and keys.

use super::mixture::Mixture;
use super::operands::{Problem, Sizes, Vectors};
use super::{Nystrom, within};
use crate::error::Result;
use crate::params::{AttendWeightsParams, InverseStartParams, LinearParams, SegmentMeansParams};
use crate::plan::{BufferId, Dispatch, PlanBuilder, Stage};
use crate::shape::MAX_LOOP;

/// Buffers of Nyström attention.
pub(in crate::ops) struct NystromBuffers {
    /// Its landmarks are those of the keys; its summaries already went through the pseudo-inverse.
    pub mixture: Mixture,
    /// Landmarks of the queries `[items, heads, R, D]`.
    query_landmarks: BufferId,
    /// What those see, `[items, heads, R, F, D]`.
    seen: BufferId,
    /// Five matrices `[items, heads, R, R]` for the pseudo-inverse.
    matrices: [BufferId; 5],
    spec: Nystrom,
}

impl NystromBuffers {
    pub fn new(builder: &mut PlanBuilder, spec: &Nystrom, sizes: &Sizes, rows: u32) -> Result<Self> {
        let count = within("landmarks", spec.landmarks, sizes.tokens().into())?;
        within("iterations of the pseudo-inverse", spec.iterations, MAX_LOOP.into())?;
        let mixture = Mixture::new(builder, sizes, [count, 1, rows], 0)?;
        let mut matrix = |name| sizes.scratch(builder, name, &[count, count]);
        let matrices = [
            matrix("landmark attention")?,
            matrix("pseudo-inverse")?,
            matrix("next pseudo-inverse")?,
            matrix("product with the pseudo-inverse")?,
            matrix("step of the pseudo-inverse")?,
        ];
        let query_landmarks = sizes.scratch(builder, "query landmarks", &[count, sizes.head_size])?;
        let seen = sizes.scratch(builder, "what query landmarks see", &[count, sizes.frames, sizes.head_size])?;
        Ok(Self { mixture, query_landmarks, seen, matrices, spec: *spec })
    }

    pub fn prepare(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vec<Stage>> {
        let (mut dispatches, query_landmarks, inverse) = self.pseudo_inverse(builder, problem)?;
        dispatches.push(self.mixture.summarise(builder, problem, &query_landmarks, self.seen)?);
        let seen = self.mixture.summaries(builder, problem, self.seen)?;
        let summaries = self.mixture.summaries(builder, problem, self.mixture.summaries)?;
        dispatches.push(self.multiply(builder, problem, (&inverse, &seen), &summaries, (1.0, 0.0))?);
        Ok(dispatches.into_iter().map(Stage::Kernel).collect())
    }

    /// Landmarks of queries and keys, and the pseudo-inverse between them; the queries' landmarks, and where the inverse lies.
    pub fn pseudo_inverse(&self, builder: &PlanBuilder, problem: &Problem) -> Result<(Vec<Dispatch>, Vectors, Vectors)> {
        let (size, count) = (problem.sizes.head_size, self.spec.landmarks);
        let query_landmarks = problem.scratch(builder, self.query_landmarks, u64::from(count) * u64::from(size), size)?;
        let key_landmarks = self.mixture.landmarks(builder, problem)?;
        let [attention, mut inverse, mut next, product, step] = self.squares(builder, problem)?;
        let start = InverseStartParams { groups: problem.item_heads(), size: count, ..InverseStartParams::default() };
        let mut dispatches = vec![
            segment_means(builder, problem, [count, 1], &problem.q, &query_landmarks)?,
            segment_means(builder, problem, [count, 1], &problem.k, &key_landmarks)?,
            landmark_attention(builder, problem, &query_landmarks, &key_landmarks, &attention)?,
            builder.dispatch("first pseudo-inverse", start, &[attention.binding, inverse.binding])?,
        ];
        let multiply = |a: &Vectors, b: &Vectors, out: &Vectors, scales| self.multiply(builder, problem, (a, b), out, scales);
        for _ in 0..self.spec.iterations {
            // V <- (13 V - V (15 Z - Z (7 Z - Z Z))) / 4 with Z = A V.
            dispatches.push(multiply(&attention, &inverse, &product, (1.0, 0.0))?);
            dispatches.push(multiply(&product, &product, &next, (-1.0, 7.0))?);
            dispatches.push(multiply(&product, &next, &step, (-1.0, 15.0))?);
            dispatches.push(multiply(&inverse, &step, &next, (-0.25, 3.25))?);
            (inverse, next) = (next, inverse);
        }
        Ok((dispatches, query_landmarks, inverse))
    }

    fn squares(&self, builder: &PlanBuilder, problem: &Problem) -> Result<[Vectors; 5]> {
        let count = self.spec.landmarks;
        let [a, b, c, d, e] =
            self.matrices.map(|buffer| problem.scratch(builder, buffer, u64::from(count) * u64::from(count), count));
        Ok([a?, b?, c?, d?, e?])
    }

    /// `out = product_scale * a b + own_scale * a` for the `[R, R]` matrices `a` of every head.
    fn multiply(
        &self,
        builder: &PlanBuilder,
        problem: &Problem,
        (a, b): (&Vectors, &Vectors),
        out: &Vectors,
        (product_scale, own_scale): (f32, f32),
    ) -> Result<Dispatch> {
        let params = LinearParams {
            batch: 1,
            groups: problem.item_heads(),
            rows: self.spec.landmarks,
            inputs: self.spec.landmarks,
            outputs: out.row_stride,
            has_bias: u32::from(own_scale != 0.0),
            x_group_stride: a.head_stride,
            x_row_stride: a.row_stride,
            w_group_stride: b.head_stride,
            w_output_stride: 1,
            w_input_stride: b.row_stride,
            bias_group_stride: a.head_stride,
            bias_row_stride: a.row_stride,
            y_group_stride: out.head_stride,
            y_row_stride: out.row_stride,
            product_scale,
            bias_scale: own_scale,
            ..LinearParams::plain()
        };
        builder.dispatch("pseudo-inverse", params, &[a.binding, b.binding, a.binding, b.binding, out.binding])
    }
}

/// Means of `count` segments of the tokens in patch-major order, of each head or of each of its frames, which are as many groups.
pub(super) fn segment_means(
    builder: &PlanBuilder,
    problem: &Problem,
    [count, groups]: [u32; 2],
    x: &Vectors,
    out: &Vectors,
) -> Result<Dispatch> {
    let sizes = &problem.sizes;
    let params = SegmentMeansParams {
        batch: problem.items,
        heads: sizes.heads,
        groups,
        frames: sizes.frames / groups,
        x_group_stride: sizes.patches * x.row_stride,
        x_frame_stride: sizes.patches * x.row_stride,
        out_offset: out.offset,
        ..segments_of(sizes.tokens() / groups, count, sizes.head_size, x)
    };
    builder.dispatch("segment means", params, &[x.binding, out.binding])
}

/// How `tokens` are cut into `count` segments, and where they lie but for frames and groups.
pub(super) fn segments_of(tokens: u32, count: u32, size: u32, x: &Vectors) -> SegmentMeansParams {
    let short_length = tokens / count;
    SegmentMeansParams {
        segments: count,
        short_segments: (short_length + 1) * count - tokens,
        short_length,
        size,
        x_offset: x.offset,
        x_batch_stride: x.batch_stride,
        x_head_stride: x.head_stride,
        x_patch_stride: x.row_stride,
        ..SegmentMeansParams::default()
    }
}

/// `softmax(lq lk')`.
fn landmark_attention(builder: &PlanBuilder, problem: &Problem, q: &Vectors, k: &Vectors, out: &Vectors) -> Result<Dispatch> {
    let params = AttendWeightsParams {
        batch: problem.items,
        heads: problem.sizes.heads,
        groups: 1,
        rows: out.row_stride,
        keys: out.row_stride,
        head_size: problem.sizes.head_size,
        scale: problem.scale,
        q_batch_stride: q.batch_stride,
        q_head_stride: q.head_stride,
        q_row_stride: q.row_stride,
        k_batch_stride: k.batch_stride,
        k_head_stride: k.head_stride,
        k_row_stride: k.row_stride,
        out_batch_stride: out.batch_stride,
        out_head_stride: out.head_stride,
        out_row_stride: out.row_stride,
        ..AttendWeightsParams::default()
    };
    builder.dispatch("landmark attention", params, &[q.binding, k.binding, out.binding])
}

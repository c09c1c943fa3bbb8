//! The two products that prototypes and landmarks have in common: what each landmark sees in each frame, and its share in each query.

use super::operands::{Problem, Sizes, TokensOut, Vectors};
use crate::error::Result;
use crate::ops::chunks::Chunk;
use crate::params::{AttendParams, AttendWeightsParams, LinearParams};
use crate::plan::{BufferId, Dispatch, PlanBuilder};
use crate::shape::{fits_u32, product};

/// Buffers of the two products. Groups are 1, or the frames where each has landmarks of its own.
pub(in crate::ops) struct Mixture {
    /// `[items, heads, groups * R, D]`.
    pub landmarks: BufferId,
    /// `[items, heads, groups * R, F, D]`.
    pub summaries: BufferId,
    /// `[items * heads, rows of a chunk, R]` from the start of a buffer that holds candidates before.
    pub weights: BufferId,
    /// `R`.
    pub count: u32,
    groups: u32,
}

impl Mixture {
    /// For `count` landmarks a group and chunks of at most `rows` queries; the buffer of the weights has at least `workspace` numbers a head.
    pub fn new(builder: &mut PlanBuilder, sizes: &Sizes, [count, groups, rows]: [u32; 3], workspace: u32) -> Result<Self> {
        let weights = product("landmark weights of a head", &[rows.into(), count.into()])?;
        let weights = fits_u32("landmark weights of a head", weights.max(workspace.into()))?;
        Ok(Self {
            landmarks: sizes.scratch(builder, "landmarks", &[groups, count, sizes.head_size])?,
            summaries: sizes.scratch(builder, "what landmarks see", &[groups, count, sizes.frames, sizes.head_size])?,
            weights: sizes.scratch(builder, "candidates, then landmark weights", &[weights])?,
            count,
            groups,
        })
    }

    /// Landmarks of a head, all groups together.
    fn landmarks_of_head(&self) -> u64 {
        u64::from(self.groups) * u64::from(self.count)
    }

    pub fn landmarks(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vectors> {
        let size = problem.sizes.head_size;
        problem.scratch(builder, self.landmarks, self.landmarks_of_head() * u64::from(size), size)
    }

    pub fn summaries(&self, builder: &PlanBuilder, problem: &Problem, buffer: BufferId) -> Result<Vectors> {
        let numbers = self.landmarks_of_head() * u64::from(problem.sizes.frames) * u64::from(problem.sizes.head_size);
        problem.scratch(builder, buffer, numbers, problem.sizes.frames * problem.sizes.head_size)
    }

    /// `out[r,f] = sum_s softmax_s(scale * landmark_r . k_{f,s}) v_{f,s}`.
    pub fn summarise(&self, builder: &PlanBuilder, problem: &Problem, landmarks: &Vectors, out: BufferId) -> Result<Dispatch> {
        let (sizes, k, v) = (&problem.sizes, &problem.k, &problem.v);
        let out = self.summaries(builder, problem, out)?;
        let params = AttendParams {
            batch: problem.items,
            heads: sizes.heads,
            groups: 1,
            rows: self.landmarks_of_head() as u32,
            segments: sizes.frames,
            keys: sizes.patches,
            head_size: sizes.head_size,
            value_size: sizes.head_size,
            scale: problem.scale,
            q_offset: landmarks.offset,
            q_batch_stride: landmarks.batch_stride,
            q_head_stride: landmarks.head_stride,
            q_row_stride: landmarks.row_stride,
            k_offset: k.offset,
            k_batch_stride: k.batch_stride,
            k_head_stride: k.head_stride,
            k_segment_stride: sizes.patches * k.row_stride,
            k_row_stride: k.row_stride,
            v_offset: v.offset,
            v_batch_stride: v.batch_stride,
            v_head_stride: v.head_stride,
            v_segment_stride: sizes.patches * v.row_stride,
            v_row_stride: v.row_stride,
            out_offset: out.offset,
            out_batch_stride: out.batch_stride,
            out_head_stride: out.head_stride,
            out_row_stride: out.row_stride,
            out_segment_stride: sizes.head_size,
            ..AttendParams::default()
        };
        builder.dispatch("what landmarks see", params, &[landmarks.binding, k.binding, v.binding, out.binding])
    }

    /// `tokens[n,f] = sum_r softmax_r(scale * q_n . landmark_r) summaries[r,f]` for the queries of a chunk.
    pub fn tokens(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk, out: &TokensOut) -> Result<Vec<Dispatch>> {
        let (dispatch, weights) = self.weights(builder, problem, chunk)?;
        let mut dispatches = vec![dispatch];
        let summaries = self.summaries(builder, problem, self.summaries)?;
        // Chunks of shared landmarks are one group of rows; otherwise each frame of the chunk goes through its own landmarks.
        let (parts, rows) = if self.groups == 1 { (1, chunk.count()) } else { (chunk.frames, chunk.rows) };
        let size = problem.sizes.head_size;
        for outer in problem.outer() {
            for part in 0..parts {
                let frame = if self.groups == 1 { 0 } else { chunk.first_row / problem.sizes.patches + part };
                let params = LinearParams {
                    batch: outer.count,
                    groups: problem.sizes.frames,
                    rows,
                    inputs: self.count,
                    outputs: size,
                    x_offset: outer.offset(&weights) + part * rows * self.count,
                    x_batch_stride: outer.stride(&weights),
                    x_row_stride: self.count,
                    w_offset: outer.offset(&summaries) + frame * self.count * summaries.row_stride,
                    w_batch_stride: outer.stride(&summaries),
                    w_group_stride: size,
                    w_output_stride: 1,
                    w_input_stride: summaries.row_stride,
                    y_offset: outer.offset(&out.rows) + part * rows * out.rows.row_stride,
                    y_batch_stride: outer.stride(&out.rows),
                    y_group_stride: out.segment_stride,
                    y_row_stride: out.rows.row_stride,
                    ..LinearParams::plain()
                };
                let bindings = [weights.binding, summaries.binding, summaries.binding, summaries.binding, out.rows.binding];
                dispatches.push(builder.dispatch("trajectory tokens", params, &bindings)?);
            }
        }
        Ok(dispatches)
    }

    /// `softmax_r(scale * q_n . landmark_r)` for the queries of a chunk, and where it lies.
    pub fn weights(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk) -> Result<(Dispatch, Vectors)> {
        let (sizes, q) = (&problem.sizes, &problem.q);
        let out = problem.scratch(builder, self.weights, u64::from(chunk.count()) * u64::from(self.count), self.count)?;
        let landmarks = self.landmarks(builder, problem)?;
        let shared = self.groups == 1;
        let (groups, rows) = if shared { (1, chunk.count()) } else { (chunk.frames, chunk.rows) };
        let group_of_landmarks = self.count * sizes.head_size;
        let first = if shared { 0 } else { chunk.first_row / sizes.patches * group_of_landmarks };
        let params = AttendWeightsParams {
            batch: problem.items,
            heads: sizes.heads,
            groups,
            rows,
            keys: self.count,
            head_size: sizes.head_size,
            scale: problem.scale,
            q_offset: q.offset + chunk.first_row * q.row_stride,
            q_batch_stride: q.batch_stride,
            q_head_stride: q.head_stride,
            q_group_stride: chunk.rows * q.row_stride,
            q_row_stride: q.row_stride,
            k_offset: landmarks.offset + first,
            k_batch_stride: landmarks.batch_stride,
            k_head_stride: landmarks.head_stride,
            k_group_stride: group_of_landmarks,
            k_row_stride: landmarks.row_stride,
            out_offset: out.offset,
            out_batch_stride: out.batch_stride,
            out_head_stride: out.head_stride,
            out_group_stride: rows * self.count,
            out_row_stride: self.count,
        };
        Ok((builder.dispatch("landmark weights", params, &[q.binding, landmarks.binding, out.binding])?, out))
    }
}

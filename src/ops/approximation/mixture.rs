//! The two products that prototypes and landmarks have in common: what each landmark sees in each frame, and its share in each query.

use super::operands::{Problem, Sizes};
use crate::error::Result;
use crate::kernel::{Attend, AttendWeights, Linear};
use crate::ops::chunks::Chunk;
use crate::ops::kit::value_parts;
use crate::plan::{BufferId, Dispatch, PlanBuilder};
use crate::shape::{fits_u32, product};
use crate::view::View;

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
    /// For `count` landmarks a group and chunks of at most `rows` queries; the buffer of the weights has at least `workspace` elements a head.
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

    /// Landmarks of all groups, `[items, heads, groups * R, D]`.
    pub fn landmarks(&self, problem: &Problem) -> View {
        problem.scratch(self.landmarks, &[self.groups * self.count, problem.sizes.head_size])
    }

    /// What they see, `[items, heads, groups * R, F, D]`.
    pub fn summaries(&self, problem: &Problem, buffer: BufferId) -> View {
        let sizes = &problem.sizes;
        problem.scratch(buffer, &[self.groups * self.count, sizes.frames, sizes.head_size])
    }

    /// `out[r,f] = sum_s softmax_s(scale * landmark_r . k_{f,s}) v_{f,s}`.
    pub fn summarise(&self, builder: &PlanBuilder, problem: &Problem, landmarks: View, out: BufferId) -> Result<Vec<Dispatch>> {
        let request: Attend = problem.seen_by(landmarks, self.summaries(problem, out));
        value_parts(&request).map(|part| builder.make("what landmarks see", part)).collect()
    }

    /// `tokens[n,f] = sum_r softmax_r(scale * q_n . landmark_r) summaries[r,f]` for the queries of a chunk, `[items, heads, rows, F, D]`.
    pub fn tokens(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk, out: View) -> Result<Vec<Dispatch>> {
        let (dispatch, weights) = self.weights(builder, problem, chunk)?;
        let mut dispatches = vec![dispatch];
        let (parts, rows) = self.groups_of(chunk);
        let first = self.first_group(problem, chunk);
        let count = u64::from(self.count);
        for [weights, summaries, out] in problem.outer([weights, self.summaries(problem, self.summaries), out]) {
            for part in 0..parts {
                let own = |view: View| view.part(1, part * rows, rows);
                let seen = summaries.part(1, (first + part) * count, count).ordered(&[0, 2, 3, 1]);
                let request = Linear::new(own(weights).with_axis(1, 1), seen, own(out).ordered(&[0, 2, 1, 3]));
                dispatches.push(builder.make("trajectory tokens", request)?);
            }
        }
        Ok(dispatches)
    }

    /// Groups and rows of a chunk: one group where landmarks are shared; otherwise each frame of the chunk goes through its own landmarks.
    fn groups_of(&self, chunk: &Chunk) -> (u64, u64) {
        let (groups, rows) = if self.groups == 1 { (1, chunk.count()) } else { (chunk.frames, chunk.rows) };
        (groups.into(), rows.into())
    }

    /// The first group of landmarks that a chunk goes through.
    fn first_group(&self, problem: &Problem, chunk: &Chunk) -> u64 {
        if self.groups == 1 { 0 } else { (chunk.first_row / problem.sizes.patches).into() }
    }

    /// `softmax_r(scale * q_n . landmark_r)` for the queries of a chunk, and where it lies: `[items, heads, rows, R]`.
    pub fn weights(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk) -> Result<(Dispatch, View)> {
        let out = problem.scratch(self.weights, &[chunk.count(), self.count]);
        let ((groups, rows), count) = (self.groups_of(chunk), u64::from(self.count));
        let own = self.landmarks(problem).part(2, self.first_group(problem, chunk) * count, groups * count);
        let request = AttendWeights {
            queries: problem.queries(chunk).split(2, rows),
            keys: own.split(2, count),
            weights: out.split(2, rows),
            scale: problem.scale,
        };
        Ok((builder.make("landmark weights", request)?, out))
    }
}

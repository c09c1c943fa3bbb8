//! Nyström attention: `t[:,f] = softmax(q lk') pinv(softmax(lq lk')) softmax_f(lq k') v`, with segment means `lq`, `lk` of queries and keys.

use super::mixture::Mixture;
use super::operands::{Problem, Sizes};
use super::{Nystrom, within};
use crate::error::Result;
use crate::kernel::{AttendWeights, InverseStart, Linear, SegmentMeans};
use crate::ops::kit::one_group;
use crate::plan::{BufferId, Dispatch, PlanBuilder, Stage};
use crate::shape::MAX_LOOP;
use crate::view::View;

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
        // An ill-conditioned iteration makes much of a rounding.
        builder.keep_exact(&matrices)?;
        let query_landmarks = sizes.scratch(builder, "query landmarks", &[count, sizes.head_size])?;
        let seen = sizes.scratch(builder, "what query landmarks see", &[count, sizes.frames, sizes.head_size])?;
        Ok(Self { mixture, query_landmarks, seen, matrices, spec: *spec })
    }

    pub fn prepare(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vec<Stage>> {
        let (mut dispatches, query_landmarks, inverse) = self.pseudo_inverse(builder, problem)?;
        dispatches.extend(self.mixture.summarise(builder, problem, query_landmarks, self.seen)?);
        // All frames of a landmark in one row.
        let rows = |buffer| self.mixture.summaries(problem, buffer).join(0).join(2);
        let (seen, summaries) = (rows(self.seen), rows(self.mixture.summaries));
        dispatches.push(multiply(builder, (inverse, seen), summaries, (1.0, 0.0))?);
        Ok(dispatches.into_iter().map(Stage::Kernel).collect())
    }

    /// Landmarks of queries and keys, and the pseudo-inverse between them; the queries' landmarks `[items, heads, R, D]`, and the inverse
    /// `[items * heads, R, R]`.
    pub fn pseudo_inverse(&self, builder: &PlanBuilder, problem: &Problem) -> Result<(Vec<Dispatch>, View, View)> {
        let count = self.spec.landmarks;
        let query_landmarks = problem.scratch(self.query_landmarks, &[count, problem.sizes.head_size]);
        let key_landmarks = self.mixture.landmarks(problem);
        let [attention, mut inverse, mut next, product, step] =
            self.matrices.map(|buffer| problem.scratch(buffer, &[count, count]).join(0));
        let weights = AttendWeights {
            queries: one_group(query_landmarks),
            keys: one_group(key_landmarks),
            weights: one_group(problem.scratch(self.matrices[0], &[count, count])),
            scale: problem.scale,
        };
        let mut dispatches = vec![
            segment_means(builder, problem, 1, problem.q, query_landmarks)?,
            segment_means(builder, problem, 1, problem.k, key_landmarks)?,
            builder.make("landmark attention", weights)?,
            builder.make("first pseudo-inverse", InverseStart { matrices: attention, starts: inverse })?,
        ];
        let multiply = |a: View, b: View, out: View, scales| multiply(builder, (a, b), out, scales);
        for _ in 0..self.spec.iterations {
            // V <- (13 V - V (15 Z - Z (7 Z - Z Z))) / 4 with Z = A V.
            dispatches.push(multiply(attention, inverse, product, (1.0, 0.0))?);
            dispatches.push(multiply(product, product, next, (-1.0, 7.0))?);
            dispatches.push(multiply(product, next, step, (-1.0, 15.0))?);
            dispatches.push(multiply(inverse, step, next, (-0.25, 3.25))?);
            (inverse, next) = (next, inverse);
        }
        Ok((dispatches, query_landmarks, inverse))
    }
}

/// `out = product_scale * a b + own_scale * a` for the matrices `a` of every head, `[heads, R, R]`.
fn multiply(builder: &PlanBuilder, (a, b): (View, View), out: View, (product_scale, own_scale): (f32, f32)) -> Result<Dispatch> {
    let bias = (own_scale != 0.0).then_some(a);
    let product = Linear::new(a, b.ordered(&[0, 2, 1]), out);
    builder.make("pseudo-inverse", Linear { bias, product_scale, bias_scale: own_scale, ..product })
}

/// Means of segments of the tokens `[items, heads, tokens, D]` in patch-major order, of each head or of each of its frames, which are as many
/// groups: `out [items, heads, groups * segments, D]`.
pub(super) fn segment_means(builder: &PlanBuilder, problem: &Problem, groups: u32, x: View, out: View) -> Result<Dispatch> {
    let x = problem.by_frame(x).split(2, (problem.sizes.frames / groups).into());
    let means = out.split(2, out.size(2) / u64::from(groups));
    builder.make("segment means", SegmentMeans { x, means })
}

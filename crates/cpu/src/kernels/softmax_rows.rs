//! Softmax of rows, and their log sums.

use orthoformer::kernel::SoftmaxRowsParams;
use pulp::{Simd, WithSimd};

use super::Environment;
use crate::context::Scratch;
use crate::simd::softmax::softmax_row;
use crate::split::{Axis, Part, axes, rows_of_task, split};

#[derive(Debug)]
pub(crate) struct Step(SoftmaxRowsParams);

impl Step {
    /// `None` if log sums lie among the weights.
    pub fn new(p: SoftmaxRowsParams) -> Option<Self> {
        let weights = p.weights.extent(&[p.batch, p.groups, p.rows].map(u64::from), p.keys.into());
        (p.has_sums == 0 || weights.end <= p.sums.offset.into()).then_some(Self(p))
    }

    pub fn run(&self, scores: &[f32], output: &mut [f32], environment: &Environment<'_>) {
        let p = &self.0;
        let sizes = [p.batch, p.groups, p.rows];
        let end = if p.has_sums == 0 { output.len() } else { p.sums.offset as usize };
        let (weights, sums) = output.split_at_mut(end);
        if p.has_sums != 0 {
            let axes = axes(&p.sums, sizes, [1, 1, rows_of_task(&p.sums, sizes, 2)]);
            split(sums, &axes, 1, &|part| {
                environment
                    .context
                    .with_scratch(|scratch| environment.context.dispatch(Sums { p, axes: &axes, scores, part, scratch }));
            });
        }
        let axes = axes(&p.weights, sizes, [1, 1, rows_of_task(&p.weights, sizes, 2)]);
        split(&mut weights[p.weights.offset as usize..], &axes, p.keys as usize, &|part| {
            environment.context.dispatch(Weights { p, axes: &axes, scores, part });
        });
    }
}

struct Weights<'e> {
    p: &'e SoftmaxRowsParams,
    axes: &'e [Axis; 3],
    scores: &'e [f32],
    part: Part<'e, 3>,
}

impl WithSimd for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let p = self.p;
        for index in self.part.indices() {
            let weights = &mut self.part.from(self.axes, index)[..p.keys as usize];
            weights.copy_from_slice(p.scores.row(self.scores, &index, p.keys));
            softmax_row(simd, weights);
        }
    }
}

/// Log sums: tasks for the weights have no room for them.
struct Sums<'e> {
    p: &'e SoftmaxRowsParams,
    axes: &'e [Axis; 3],
    scores: &'e [f32],
    part: Part<'e, 3>,
    scratch: &'e mut Scratch,
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let p = self.p;
        for index in self.part.indices() {
            let row = self.scratch.rows.elements_mut(p.keys as usize);
            row.copy_from_slice(p.scores.row(self.scores, &index, p.keys));
            self.part.from(self.axes, index)[0] = softmax_row(simd, row);
        }
    }
}

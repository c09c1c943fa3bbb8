//! Softmax of rows, without their log sums.

use orthoformer::kernel::SoftmaxRowsParams;
use pulp::{Simd, WithSimd};

use super::Environment;
use crate::simd::softmax::softmax_row;
use crate::split::{Axis, Part, axes, rows_of_task, split};

#[derive(Debug)]
pub(crate) struct Step(pub SoftmaxRowsParams);

impl Step {
    pub fn run(&self, scores: &[f32], weights: &mut [f32], environment: &Environment<'_>) {
        let p = &self.0;
        let block = rows_of_task(p.rows, u64::from(p.batch) * u64::from(p.groups));
        let axes = axes(&p.weights, [p.batch, p.groups, p.rows], [1, 1, block]);
        split(&mut weights[p.weights.offset as usize..], &axes, p.keys as usize, &|part| {
            environment.context.dispatch(Rows { p, axes: &axes, scores, part });
        });
    }
}

struct Rows<'e> {
    p: &'e SoftmaxRowsParams,
    axes: &'e [Axis; 3],
    scores: &'e [f32],
    part: Part<'e, 3>,
}

impl WithSimd for Rows<'_> {
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

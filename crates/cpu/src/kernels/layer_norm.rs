//! Layer normalisation of rows.

use orthoformer::kernel::LayerNormParams;
use pulp::{Simd, WithSimd};

use super::Environment;
use crate::simd::norm::layer_norm_row;
use crate::split::{Axis, Part, axes, rows_of_task, split};

#[derive(Debug)]
pub(crate) struct Step(pub LayerNormParams);

impl Step {
    pub fn run(&self, inputs: [&[f32]; 3], y: &mut [f32], environment: &Environment<'_>) {
        let p = &self.0;
        let axes = axes(&p.y, [p.batch, p.rows], [1, rows_of_task(&p.y, [p.batch, p.rows], 1)]);
        split(&mut y[p.y.offset as usize..], &axes, p.size as usize, &|part| {
            environment.context.dispatch(Rows { p, axes: &axes, inputs, part });
        });
    }
}

struct Rows<'e> {
    p: &'e LayerNormParams,
    axes: &'e [Axis; 2],
    inputs: [&'e [f32]; 3],
    part: Part<'e, 2>,
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (p, [x, scales, shifts]) = (self.p, self.inputs);
        for index in self.part.indices() {
            let [x, scales, shifts] =
                [(&p.x, x), (&p.scales, scales), (&p.shifts, shifts)].map(|(view, elements)| view.row(elements, &index, p.size));
            let y = &mut self.part.from(self.axes, index)[..p.size as usize];
            layer_norm_row(simd, x, scales, shifts, p.epsilon, y);
        }
    }
}

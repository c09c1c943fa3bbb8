//! Attention weights of all queries, row by row.

use orthoformer::kernel::AttendWeightsParams;
use pulp::{Simd, WithSimd};

use super::Environment;
use super::temporal_weights::{length, weigh_row};
use crate::simd::matrix::Rows;
use crate::split::{Axis, Part, axes, rows_of_task, split};

#[derive(Debug)]
pub(crate) struct Step(pub AttendWeightsParams);

impl Step {
    pub fn run(&self, inputs: [&[f32]; 2], weights: &mut [f32], environment: &Environment<'_>) {
        let p = &self.0;
        let sizes = [p.batch, p.heads, p.groups, p.rows];
        let axes = axes(&p.weights, sizes, [1, 1, 1, rows_of_task(&p.weights, sizes, 3)]);
        split(&mut weights[p.weights.offset as usize..], &axes, p.key_count as usize, &|part| {
            environment.context.dispatch(WeighedRows { p, axes: &axes, inputs, part });
        });
    }
}

struct WeighedRows<'e> {
    p: &'e AttendWeightsParams,
    axes: &'e [Axis; 4],
    inputs: [&'e [f32]; 2],
    part: Part<'e, 4>,
}

impl WithSimd for WeighedRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (p, [queries, keys]) = (self.p, self.inputs);
        let (mut of, mut longest) = (None, 0.0);
        for index @ [batch, head, group, _] in self.part.indices() {
            let keys = Rows { elements: &keys[p.keys.at(&[batch, head, group])..], stride: p.keys.stride(3) as usize };
            if of != Some([batch, head, group]) {
                (of, longest) = (Some([batch, head, group]), 0.0);
                for key in 0..p.key_count as usize {
                    let length = length(simd, keys.part(key, 0, p.head_size as usize));
                    longest = if length <= longest { longest } else { length };
                }
            }
            let query = p.queries.row(queries, &index, p.head_size);
            let weights = &mut self.part.from(self.axes, index)[..p.key_count as usize];
            weigh_row(simd, p.scale, query, keys, longest, weights);
        }
    }
}

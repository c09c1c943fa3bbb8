//! Tokens turned by their positions.

use orthoformer::kernel::RotaryParams;

use crate::split::{axes, rows_of_task, split};

#[derive(Debug)]
pub(crate) struct Step(pub RotaryParams);

impl Step {
    pub fn run(&self, [x, table]: [&[f32]; 2], y: &mut [f32]) {
        let p = &self.0;
        let sizes = [p.batch, p.heads, p.tokens];
        let axes = axes(&p.y, sizes, [1, 1, rows_of_task(&p.y, sizes, 2)]);
        split(&mut y[p.y.offset as usize..], &axes, p.head_size as usize, &|mut part| {
            for index @ [_, _, token] in part.indices() {
                let turned = &mut part.from(&axes, index)[..p.head_size as usize];
                turned.copy_from_slice(p.x.row(x, &index, p.head_size));
                let positions = [token / (p.rows * p.columns), token / p.columns % p.rows, token % p.columns];
                for (position, elements) in positions.into_iter().zip(turned.chunks_exact_mut(2 * p.pairs as usize)) {
                    let [cosines, second_cosines, sines, second_sines] =
                        [0, 1, 2, 3].map(|part| p.table.row(table, &[position, part], p.pairs));
                    for (pair, elements) in elements.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                        let [a, b] = *elements;
                        *elements = [cosines[pair] * a - sines[pair] * b, second_cosines[pair] * b + second_sines[pair] * a];
                    }
                }
            }
        });
    }
}

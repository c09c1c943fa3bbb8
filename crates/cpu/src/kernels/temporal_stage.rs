//! The temporal stage of trajectory attention as one step: blocks of rows go through all of its dispatches before the next ones do, so that
//! second queries, projected queries, weights and pooled tokens never leave the cache of a core.
//!
//! It takes a plan's shortcut (`Stage::Shortcut`), whose buffers in between nothing else reads.

use orthoformer::kernel::{Kernel, LinearParams, TemporalPoolParams, TemporalWeightsParams};
use orthoformer::plan::{Binding, Dispatch};
use orthoformer::view::BoundView;
use pulp::{Simd, WithSimd};

use super::temporal_pool::pool_row;
use super::temporal_weights::{length, weigh_row};
use super::{Environment, PackInput};
use crate::context::{Context, Scratch};
use crate::packs::Matrices;
use crate::simd::epilogue::{LinearEpilogue, Plain};
use crate::simd::matrix::{Rows, RowsMut};
use crate::simd::panels::Panels;
use crate::simd::product::Product;
use crate::split::{Axis, Part, split};

/// Rows of a block: their trajectory tokens stay in the second cache of a core, while all heads go through them.
const BLOCK_ROWS: u32 = 24;

/// The sizes and views of the stage's dispatches.
#[derive(Clone, Copy, Debug)]
struct Params {
    queries: LinearParams,
    down: LinearParams,
    weights: TemporalWeightsParams,
    pool: TemporalPoolParams,
    /// Of projected values.
    up: Option<LinearParams>,
}

#[derive(Debug)]
pub(crate) struct Step {
    p: Params,
    /// Numbers of the packed weights of queries, of keys and of values.
    packed: [usize; 3],
}

/// What the step binds: trajectory tokens as own rows and as they are, biases of queries and values; and what it writes.
pub(crate) struct Bindings {
    pub inputs: [Binding; 4],
    pub output: Binding,
}

impl Step {
    /// The step of these dispatches; `None` if they are others than those of the stage.
    pub fn of(dispatches: &[Dispatch], pack: &mut PackInput<'_>) -> Option<(Self, Bindings)> {
        let kernels = [Kernel::Linear, Kernel::Linear, Kernel::TemporalWeights, Kernel::TemporalPool, Kernel::Linear];
        let is_stage =
            (4..=5).contains(&dispatches.len()) && dispatches.iter().zip(kernels).all(|(own, kernel)| own.kernel == kernel);
        let [queries, down, weights, pool, ..] = dispatches else { return None };
        if !is_stage {
            return None;
        }
        let up = dispatches.get(4);
        let p = Params {
            queries: bytemuck::pod_read_unaligned(&queries.params),
            down: bytemuck::pod_read_unaligned(&down.params),
            weights: bytemuck::pod_read_unaligned(&weights.params),
            pool: bytemuck::pod_read_unaligned(&pool.params),
            up: up.map(|up| bytemuck::pod_read_unaligned(&up.params)),
        };
        let output = up.unwrap_or(pool).bindings.last()?;
        let chained = queries.bindings[4] == down.bindings[0]
            && down.bindings[4] == weights.bindings[0]
            && weights.bindings[2] == pool.bindings[0]
            && weights.bindings[1] == pool.bindings[1]
            && up.is_none_or(|up| up.bindings[0] == pool.bindings[2]);
        if !(chained && p.is_chained()) {
            return None;
        }
        let packed = [
            pack(&queries.bindings[1], Matrices::of(&p.queries))?,
            pack(&down.bindings[1], Matrices::of(&p.down))?,
            match (up, &p.up) {
                (Some(up), Some(params)) => pack(&up.bindings[1], Matrices::of(params))?,
                _ => 0,
            },
        ];
        // What is absent is bound to something that may not be live yet.
        let tokens = weights.bindings[1];
        let query_bias = if p.queries.has_bias == 0 { tokens } else { queries.bindings[2] };
        let value_bias = up.filter(|_| p.up.is_some_and(|up| up.has_bias != 0)).map_or(tokens, |up| up.bindings[2]);
        let inputs = [queries.bindings[0], tokens, query_bias, value_bias];
        Some((Self { p, packed }, Bindings { inputs, output: *output }))
    }

    pub fn run(&self, inputs: [&[f32]; 4], out: &mut [f32], environment: &Environment<'_>) {
        let p = &self.p;
        let [queries, keys, values] = self.packed.map(|number| environment.packs.get(number));
        let (view, row_stride) = p.out();
        let [items, row] = [view.stride(0), row_stride].map(|stride| stride as usize);
        let axes = [
            Axis { size: p.queries.batch, stride: items, block: 1 },
            Axis { size: p.queries.groups, stride: p.queries.rows as usize * row, block: 1 },
            Axis { size: p.queries.rows, stride: row, block: BLOCK_ROWS },
        ];
        let stage = Stage { p, inputs, queries, keys, values, context: environment.context };
        split(&mut out[view.offset as usize..], &axes, p.width(), &|part| {
            let blocks = (part.count[2] > BLOCK_ROWS) || part.count[0] > 1 || part.count[1] > 1;
            if blocks { stage.blocks(part, &axes) } else { stage.block(part) }
        });
    }
}

impl Params {
    /// Elements of a row of the output.
    fn width(&self) -> usize {
        (self.pool.heads * self.up.map_or(self.pool.width, |up| up.outputs)) as usize
    }

    /// The output, and the stride of its rows.
    fn out(&self) -> (BoundView, u32) {
        self.up.map_or((self.pool.pooled, self.pool.pooled.stride(1)), |up| (up.y, up.y.stride(2)))
    }

    /// Whether each dispatch takes what the one before makes, row by row and head by head.
    fn is_chained(&self) -> bool {
        let Self { queries, down, weights, pool, up } = self;
        let plain = |p: &LinearParams| {
            p.activation == 0 && p.has_residual == 0 && (p.product_scale, p.bias_scale) == (1.0, 1.0) && p.w.stride(0) == 0
        };
        let rows = queries.groups * queries.rows;
        let sizes = [down.rows, weights.rows, pool.rows].iter().all(|&own| own == rows)
            && [down.batch, weights.batch, pool.batch].iter().all(|&own| own == queries.batch)
            && [down.groups, weights.heads, pool.heads].iter().all(|&own| own == down.groups)
            && queries.outputs == down.groups * down.inputs
            && down.outputs == weights.width
            && pool.frames == weights.frames;
        // Rows of the queries follow each other, as do heads within them.
        let y = &queries.y;
        let queries_seen = BoundView::new(y.offset, &[y.stride(0), down.inputs, y.stride(2), 1]);
        let rows_follow = queries.groups == 1 || y.stride(1) == queries.rows * y.stride(2);
        let seen = |view: &BoundView, other: &BoundView, order: [usize; 3], sizes: [u32; 3]| {
            let strides = (0..3).all(|axis| sizes[axis] == 1 || view.stride(axis) == other.stride(order[axis]));
            view.offset == other.offset && strides
        };
        let heads = [down.batch, down.groups, down.rows];
        let by_rows = [down.batch, down.rows, down.groups];
        let own = queries.x.stride(3) == 1 && down.x.stride(3) == 1 && seen(&down.x, &queries_seen, [0, 1, 2], heads);
        let down_seen = seen(&weights.queries, &down.y, [0, 2, 1], by_rows);
        let tokens_seen = seen(&pool.tokens, &weights.tokens, [0, 1, 2], [pool.batch, pool.rows, pool.frames]);
        let weights_seen = seen(&pool.weights, &weights.weights, [0, 1, 2], heads);
        let values = match up {
            Some(up) => {
                plain(up)
                    && (up.batch, up.groups, up.rows, up.inputs) == (pool.batch, pool.heads, rows, pool.width)
                    && pool.tokens.stride(3) == 0
                    && up.x.stride(3) == 1
                    && seen(&up.x, &pool.pooled, [0, 2, 1], heads)
                    && (up.groups == 1 || up.y.stride(1) == up.outputs)
                    && (up.has_bias == 0 || up.bias.stride(0) == 0 && up.bias.stride(2) == 0)
            }
            None => pool.pooled.stride(2) == pool.width || pool.heads == 1,
        };
        let biased = queries.has_bias == 0 || [0, 1, 2].iter().all(|&axis| queries.bias.stride(axis) == 0);
        let unbiased = down.has_bias == 0 && queries.w.stride(1) == 0;
        let views = own && rows_follow && down_seen && tokens_seen && weights_seen;
        plain(queries) && plain(down) && sizes && views && values && biased && unbiased
    }
}

/// What all tasks share.
struct Stage<'e> {
    p: &'e Params,
    inputs: [&'e [f32]; 4],
    queries: &'e [Panels],
    keys: &'e [Panels],
    values: &'e [Panels],
    context: &'e Context,
}

impl Stage<'_> {
    /// A part that could not be cut, block by block.
    fn blocks(&self, mut part: Part<'_, 3>, axes: &[Axis; 3]) {
        for batch in part.along(0) {
            for group in part.along(1) {
                for first in part.along(2).step_by(BLOCK_ROWS as usize) {
                    let count = [1, 1, BLOCK_ROWS.min(part.first[2] + part.count[2] - first)];
                    let first = [batch, group, first];
                    self.block(Part { first, count, elements: part.from(axes, first) });
                }
            }
        }
    }

    fn block(&self, part: Part<'_, 3>) {
        self.context.with_scratch(|scratch| self.context.dispatch(Block { stage: self, part, scratch }));
    }
}

struct Block<'e> {
    stage: &'e Stage<'e>,
    part: Part<'e, 3>,
    scratch: &'e mut Scratch,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Stage { p, inputs: [own, tokens, query_bias, value_bias], queries, keys, values, .. } = self.stage;
        let ([batch, group, first], rows) = (self.part.first, self.part.count[2] as usize);
        let first_row = group * p.queries.rows + first;
        let [heads, size, width, frames] =
            [p.down.groups, p.down.inputs, p.down.outputs, p.weights.frames].map(|size| size as usize);
        let [second, others] = [heads * size, width].map(|columns| rows * columns);
        let (second, rest) = self.scratch.rows.elements_mut(second + 2 * others + rows + frames).split_at_mut(second);
        let (down, rest) = rest.split_at_mut(others);
        let (pooled, rest) = rest.split_at_mut(others);
        let (longest, shares) = rest.split_at_mut(rows);

        let x = Rows { elements: &own[p.queries.x.at(&[batch, group, first])..], stride: p.queries.x.stride(2) as usize };
        let bias = (p.queries.has_bias != 0).then(|| Rows { elements: &query_bias[p.queries.bias.offset as usize..], stride: 0 });
        let epilogue = LinearEpilogue { bias, ..LinearEpilogue::default() };
        let y = RowsMut { elements: &mut *second, stride: heads * size };
        Product::new(x, rows, &queries[0]).run(simd, y, &epilogue);

        let token = |row: usize, frame: usize| p.weights.tokens.at(&[batch, first_row + row as u32, frame as u32]);
        for (row, longest) in longest.iter_mut().enumerate() {
            *longest = 0.0;
            for frame in 0..frames {
                let length = length(simd, &tokens[token(row, frame)..][..width]);
                *longest = if length <= *longest { *longest } else { length };
            }
        }
        let frame_stride = p.weights.tokens.stride(2) as usize;
        let (out, out_stride) = p.out();
        for head in 0..heads {
            let x = Rows { elements: &second[head * size..], stride: heads * size };
            let y = RowsMut { elements: &mut *down, stride: width };
            let own_keys = &keys[head % keys.len()];
            Product::new(x, rows, own_keys).run(simd, y, &Plain);
            for row in 0..rows {
                let query = &down[row * width..][..width];
                let rows_of_frames = Rows { elements: &tokens[token(row, 0)..], stride: frame_stride };
                weigh_row(simd, p.weights.scale, query, rows_of_frames, longest[row], shares);
                match p.up {
                    Some(_) => pool_row(simd, shares, rows_of_frames, &mut pooled[row * width..][..width]),
                    None => {
                        let part = p.pool.width as usize;
                        let at = row * out_stride as usize + head * out.stride(2) as usize;
                        let elements = &tokens[p.pool.tokens.at(&[batch, first_row + row as u32, 0, head as u32])..];
                        pool_row(simd, shares, Rows { elements, stride: frame_stride }, &mut self.part.elements[at..][..part]);
                    }
                }
            }
            if let Some(up) = p.up {
                let bias = (up.has_bias != 0).then(|| Rows { elements: &value_bias[up.bias.at(&[0, head as u32])..], stride: 0 });
                let epilogue = LinearEpilogue { bias, ..LinearEpilogue::default() };
                let y = RowsMut { elements: &mut self.part.elements[head * up.outputs as usize..], stride: out_stride as usize };
                let x = Rows { elements: &*pooled, stride: width };
                Product::new(x, rows, &values[head % values.len()]).run(simd, y, &epilogue);
            }
        }
    }
}

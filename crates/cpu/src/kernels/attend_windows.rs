//! Attention within shifted windows: a task a window, whose rows are gathered, and results that are staged window by window.

use orthoformer::kernel::AttendWindowsParams;
use orthoformer::view::{BoundView, indices};
use pulp::{Simd, WithSimd};

use super::Environment;
use super::temporal_weights::length;
use crate::context::{Context, Scratch};
use crate::simd::attention::{Attention, LogitBias};
use crate::simd::matrix::{Aligned, Matrix, Rows, RowsMut};
use crate::split::{Axis, Part, axes, rows_of_task, split};

/// Added to logits between positions that are no neighbours in the unrolled grid.
const MASK: f32 = -100.0;

#[derive(Debug)]
pub(crate) struct Step {
    p: AttendWindowsParams,
    /// `[windows, positions]`.
    positions: Vec<Position>,
    /// For each token its number among the positions.
    places: Vec<u32>,
    /// For each position its part of the row of biases: that of two positions is the difference of theirs, and `bias_offset`.
    codes: Vec<u32>,
    bias_offset: u32,
    /// Biases `[heads, rows of the table]`.
    table: Aligned,
    /// Results `[batch, windows, heads, positions, value_size]`.
    staged: Aligned,
}

/// A position of the padded, rolled grid.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// `None` in the padding.
    token: Option<u32>,
    region: u8,
}

impl Step {
    pub fn new(p: AttendWindowsParams) -> Self {
        let positions = positions(&p);
        let mut places = vec![0; (p.frames * p.rows * p.columns) as usize];
        for (number, position) in positions.iter().enumerate() {
            if let Some(token) = position.token {
                places[token as usize] = number as u32;
            }
        }
        let [_, rows, columns] = [p.table_frames, p.table_rows, p.table_columns].map(|size| 2 * size - 1);
        let code = |[t, y, x]: [u32; 3]| (t * rows + y) * columns + x;
        let codes = indices([p.table_frames, p.table_rows, p.table_columns]).map(code).take(in_window(&p)).collect();
        let bias_offset = code([p.table_frames - 1, p.table_rows - 1, p.table_columns - 1]);
        Self { p, positions, places, codes, bias_offset, table: Aligned::default(), staged: Aligned::default() }
    }

    pub fn run(&mut self, inputs: [&[f32]; 4], tokens: &mut [f32], environment: &Environment<'_>) {
        let Self { p, positions, places, codes, bias_offset, table, staged } = self;
        let [heads, width, inside] = [p.heads as usize, p.value_size as usize, in_window(p)];
        let biases = [p.table_frames, p.table_rows, p.table_columns].iter().map(|size| 2 * *size as usize - 1).product::<usize>();
        let table = table.elements_mut(heads * biases);
        for (head, own) in table.chunks_exact_mut(biases).enumerate() {
            for (row, bias) in own.iter_mut().enumerate() {
                *bias = p.table.row(inputs[3], &[row as u32], p.heads)[head];
            }
        }
        let (windows, of_window) = (positions.len() / inside, heads * inside * width);
        let staged = staged.elements_mut(p.batch as usize * windows * of_window);
        let axis = |size, stride| Axis { size, stride, block: 1 };
        let axes_of_windows = [axis(p.batch, windows * of_window), axis(windows as u32, of_window)];
        let bias = Biases { table, biases, codes, offset: *bias_offset };
        let task = Windows { p, inputs, positions, bias, context: environment.context };
        split(staged, &axes_of_windows, of_window, &|part| task.part(part, &axes_of_windows));
        let sizes = [p.batch, p.heads, places.len() as u32];
        let own = axes(&p.tokens, sizes, [1, 1, rows_of_task(&p.tokens, sizes, 2)]);
        split(&mut tokens[p.tokens.offset as usize..], &own, width, &|mut part| {
            for index @ [batch, head, token] in part.indices() {
                let place = places[token as usize] as usize;
                let window = batch as usize * windows + place / inside;
                let from = ((window * heads + head as usize) * inside + place % inside) * width;
                part.from(&own, index)[..width].copy_from_slice(&staged[from..][..width]);
            }
        });
    }
}

/// Positions of a window.
fn in_window(p: &AttendWindowsParams) -> usize {
    [p.window_frames, p.window_rows, p.window_columns].iter().map(|&size| size as usize).product()
}

/// The positions of all windows.
fn positions(p: &AttendWindowsParams) -> Vec<Position> {
    let grid = [p.frames, p.rows, p.columns];
    let window = [p.window_frames, p.window_rows, p.window_columns];
    let shift = [p.shift_frames, p.shift_rows, p.shift_columns];
    let counts: [u32; 3] = std::array::from_fn(|axis| grid[axis].div_ceil(window[axis]));
    let along = |axis: usize, at: u32| {
        let padded = counts[axis] * window[axis];
        let region = match at {
            _ if shift[axis] == 0 || at < padded - window[axis] => 0,
            _ if at < padded - shift[axis] => 1,
            _ => 2,
        };
        ((at + shift[axis]) % padded, region)
    };
    let position = |corner: [u32; 3], offset: [u32; 3]| {
        let [t, y, x] = [0, 1, 2].map(|axis| along(axis, corner[axis] * window[axis] + offset[axis]));
        let is_token = t.0 < grid[0] && y.0 < grid[1] && x.0 < grid[2];
        let token = is_token.then_some((t.0 * grid[1] + y.0) * grid[2] + x.0);
        Position { token, region: t.1 * 9 + y.1 * 3 + x.1 }
    };
    indices(counts).flat_map(|corner| indices(window).map(move |offset| position(corner, offset))).collect()
}

/// Biases of all heads.
#[derive(Clone, Copy)]
struct Biases<'e> {
    table: &'e [f32],
    /// Rows of the table.
    biases: usize,
    codes: &'e [u32],
    offset: u32,
}

/// What all tasks share.
struct Windows<'e> {
    p: &'e AttendWindowsParams,
    inputs: [&'e [f32]; 4],
    positions: &'e [Position],
    bias: Biases<'e>,
    context: &'e Context,
}

impl Windows<'_> {
    fn part(&self, mut part: Part<'_, 2>, axes: &[Axis; 2]) {
        let (p, inside) = (self.p, in_window(self.p));
        let of_head = inside * p.value_size as usize;
        for index @ [batch, window] in part.indices() {
            let positions = &self.positions[window as usize * inside..][..inside];
            let heads = part.from(axes, index).chunks_exact_mut(of_head).take(p.heads as usize);
            for (head, tokens) in heads.enumerate() {
                self.context.with_scratch(|scratch| {
                    let index = [batch, head as u32];
                    self.context.dispatch(Window { windows: self, index, positions, tokens, scratch });
                });
            }
        }
    }
}

struct Window<'e> {
    windows: &'e Windows<'e>,
    index: [u32; 2],
    positions: &'e [Position],
    tokens: &'e mut [f32],
    scratch: &'e mut Scratch,
}

impl WithSimd for Window<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Windows { p, inputs: [queries, keys, values, _], bias, .. } = self.windows;
        let Scratch { rows, others, keys: packed_keys, values: packed_values, attention, .. } = self.scratch;
        let [size, width] = [p.head_size, p.value_size].map(|size| size as usize);
        let count = self.positions.len();
        let own_queries = rows.elements_mut(count * size);
        gather(self.positions, &p.queries, queries, self.index, own_queries);
        let mut longest = 0.0;
        for query in own_queries.chunks_exact(size) {
            let length = length(simd, query);
            longest = if length <= longest { longest } else { length };
        }
        let own_keys = others.elements_mut(count * size);
        gather(self.positions, &p.keys, keys, self.index, own_keys);
        let matrix = Matrix { elements: own_keys, row_stride: size, column_stride: 1 };
        packed_keys.pack(simd, matrix, count, size, longest * p.scale.abs());
        let own_values = others.elements_mut(count * width);
        gather(self.positions, &p.values, values, self.index, own_values);
        packed_values.pack(simd, Matrix { elements: own_values, row_stride: width, column_stride: 1 }, count, width);
        let attention_of_window = Attention {
            queries: Rows { elements: own_queries, stride: size },
            rows: count,
            head_size: size,
            scale: p.scale,
            keys: packed_keys,
            values: packed_values,
        };
        let table = &bias.table[self.index[1] as usize * bias.biases..][..bias.biases];
        let masked = self.positions.iter().any(|position| position.region != self.positions[0].region);
        let bias = WindowBias { table, codes: bias.codes, offset: bias.offset, positions: self.positions, masked };
        let tokens = RowsMut { elements: self.tokens, stride: width };
        attention_of_window.run(simd, &bias, tokens, attention);
    }
}

/// Gathers the rows of a window's positions.
fn gather(positions: &[Position], view: &BoundView, elements: &[f32], [batch, head]: [u32; 2], rows: &mut [f32]) {
    let width = rows.len() / positions.len();
    for (position, row) in positions.iter().zip(rows.chunks_exact_mut(width)) {
        let at = match position.token {
            Some(token) => view.at(&[batch, head, token]),
            None => view.extra_at(&[0, head]),
        };
        row.copy_from_slice(&elements[at..][..width]);
    }
}

/// Biases by relative position, and the mask.
struct WindowBias<'e> {
    table: &'e [f32],
    codes: &'e [u32],
    offset: u32,
    positions: &'e [Position],
    masked: bool,
}

impl LogitBias for WindowBias<'_> {
    const NONE: bool = false;

    #[inline(always)]
    fn add<S: Simd>(&self, _: S, row: usize, logits: &mut [f32]) {
        let from = self.codes[row] + self.offset;
        for (logit, &code) in logits.iter_mut().zip(self.codes) {
            *logit += self.table[(from - code) as usize];
        }
        if self.masked {
            let region = self.positions[row].region;
            for (logit, position) in logits.iter_mut().zip(self.positions) {
                *logit += if position.region == region { 0.0 } else { MASK };
            }
        }
    }
}

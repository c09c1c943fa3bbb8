//! Reference of `shaders/attend_windows.wgsl`: the grid padded, rolled and cut as the definition has it, a matrix of biases, a mask.

use super::{dot, softmax};
use crate::params::AttendWindowsParams;

/// A place of the padded, rolled grid.
#[derive(Clone, Copy)]
struct Place {
    /// Nothing where the grid was padded.
    token: Option<u32>,
    region: usize,
}

/// Inputs: queries, keys, values, table; output: tokens. See [`AttendWindowsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], tokens: &mut [f32]) {
    let p: AttendWindowsParams = bytemuck::pod_read_unaligned(params);
    let places = table_places([p.table_frames, p.table_rows, p.table_columns].map(|size| size as usize));
    let windows = windows(&p);
    for (batch, head) in (0..p.batch).flat_map(|batch| (0..p.heads).map(move |head| (batch, head))) {
        for window in &windows {
            one_window(&p, [batch, head], window, &places, inputs, tokens);
        }
    }
}

/// All windows, each with its places.
fn windows(p: &AttendWindowsParams) -> Vec<Vec<Place>> {
    let (grid, window) = ([p.frames, p.rows, p.columns], [p.window_frames, p.window_rows, p.window_columns]);
    let shift = [p.shift_frames, p.shift_rows, p.shift_columns];
    let padded = [0, 1, 2].map(|axis| grid[axis].div_ceil(window[axis]) * window[axis]);
    // The coordinates of an axis after rolling, and the regions they are in.
    let rolled = [0, 1, 2].map(|axis| {
        let mut all: Vec<u32> = (0..padded[axis]).collect();
        all.rotate_left(shift[axis] as usize);
        let mut regions = vec![0; all.len()];
        if shift[axis] > 0 {
            regions[(padded[axis] - window[axis]) as usize..].fill(1);
            regions[(padded[axis] - shift[axis]) as usize..].fill(2);
        }
        all.into_iter().zip(regions).collect::<Vec<(u32, usize)>>()
    });
    let mut windows = Vec::new();
    for frames in rolled[0].chunks(window[0] as usize) {
        for rows in rolled[1].chunks(window[1] as usize) {
            for columns in rolled[2].chunks(window[2] as usize) {
                let mut places = Vec::new();
                for (t, y, x) in frames.iter().flat_map(|t| rows.iter().flat_map(move |y| columns.iter().map(move |x| (t, y, x))))
                {
                    let is_token = t.0 < grid[0] && y.0 < grid[1] && x.0 < grid[2];
                    let token = is_token.then_some((t.0 * grid[1] + y.0) * grid[2] + x.0);
                    places.push(Place { token, region: t.1 * 9 + y.1 * 3 + x.1 });
                }
                windows.push(places);
            }
        }
    }
    windows
}

/// The places of the table's window, in order.
fn table_places([frames, rows, columns]: [usize; 3]) -> Vec<[usize; 3]> {
    let rows_of = |frame| (0..rows).flat_map(move |row| (0..columns).map(move |column| [frame, row, column]));
    (0..frames).flat_map(rows_of).collect()
}

/// The row of the table that has the biases of two places.
fn bias_number([_, rows, columns]: [usize; 3], last: [usize; 3], from: [usize; 3], to: [usize; 3]) -> usize {
    let [t, y, x] = [0, 1, 2].map(|axis| from[axis] + last[axis] - to[axis]);
    (t * (2 * rows - 1) + y) * (2 * columns - 1) + x
}

fn one_window(
    p: &AttendWindowsParams,
    [batch, head]: [u32; 2],
    window: &[Place],
    places: &[[usize; 3]],
    inputs: &[&[f32]],
    tokens: &mut [f32],
) {
    let &[queries, keys, values, table] = inputs else { return };
    let start = |token: Option<u32>, [offset, padding, batch_stride, head_stride, row_stride]: [u32; 5]| match token {
        Some(token) => offset + batch * batch_stride + head * head_stride + token * row_stride,
        None => padding + head * head_stride,
    };
    let of_queries = [p.q_offset, p.q_padding_offset, p.q_batch_stride, p.q_head_stride, p.q_row_stride];
    let of_keys = [p.k_offset, p.k_padding_offset, p.k_batch_stride, p.k_head_stride, p.k_row_stride];
    let of_values = [p.v_offset, p.v_padding_offset, p.v_batch_stride, p.v_head_stride, p.v_row_stride];
    let sizes = [p.table_frames, p.table_rows, p.table_columns].map(|size| size as usize);
    let last = sizes.map(|size| size - 1);
    for (number, place) in window.iter().enumerate() {
        let Some(token) = place.token else { continue };
        let query = at(queries, start(place.token, of_queries), p.head_size);
        let score = |(other, key): (usize, &Place)| {
            let product = dot(query, at(keys, start(key.token, of_keys), p.head_size));
            let row = bias_number(sizes, last, places[number], places[other]);
            let bias = table[p.table_offset as usize + row * p.table_stride as usize + head as usize];
            let mask = if key.region == place.region { 0.0 } else { -100.0 };
            f64::from(p.scale) * product + f64::from(bias) + mask
        };
        let mut weights: Vec<f64> = window.iter().enumerate().map(score).collect();
        softmax(&mut weights);
        let mut sum = vec![0.0; p.value_size as usize];
        for (key, weight) in window.iter().zip(weights) {
            for (sum, &value) in sum.iter_mut().zip(at(values, start(key.token, of_values), p.value_size)) {
                *sum += weight * f64::from(value);
            }
        }
        let out = p.out_offset + batch * p.out_batch_stride + head * p.out_head_stride + token * p.out_row_stride;
        for (token, sum) in tokens[out as usize..].iter_mut().zip(sum) {
            *token = sum as f32;
        }
    }
}

fn at(buffer: &[f32], start: u32, len: u32) -> &[f32] {
    &buffer[start as usize..(start + len) as usize]
}

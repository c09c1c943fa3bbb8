//! Tokens of networks, and what is done to each of them alike: made of pixels, normalised, multiplied, sent through an MLP, averaged.
//!
//! ```text
//! norm:     y = (x - mean x) / sqrt(var x + epsilon) * scales + shifts
//! product:  y = act(x W' + b) + residual
//! mlp:      y = act(x W_1' + b_1) W_2' + b_2 + residual
//! ```
//!
//! Work is cut into slices of batch items, or of rows where one item is too large, so that no binding exceeds its limit and what is inside of an MLP stays
//! small.

use super::dense::{Dense, Projection, Rows, projection};
use crate::error::Result;
use crate::params::{Activation, CuboidsParams, LayerNormParams, SegmentMeansParams};
use crate::plan::{BINDING_SLACK, BufferId, ELEMENT_BYTES, PlanBuilder, PlanLimits, Role};

/// Rows of a buffer `[batch, rows, stride]`: of every batch item `count` from `first` on, and of every row `size` numbers from `column` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    pub buffer: BufferId,
    /// The first batch item.
    pub item: u32,
    pub batch: u32,
    /// Rows of a batch item that there are.
    pub rows: u32,
    /// Numbers of a row that there are.
    pub stride: u32,
    pub first: u32,
    pub count: u32,
    pub column: u32,
    pub size: u32,
}

/// Some rows of some batch items.
#[derive(Clone, Copy)]
struct Slice {
    item: u32,
    items: u32,
    row: u32,
    rows: u32,
}

impl Tokens {
    /// All of a buffer `[batch, rows, width]`.
    pub fn all(buffer: BufferId, [batch, rows, width]: [u32; 3]) -> Self {
        Self { buffer, item: 0, batch, rows, stride: width, first: 0, count: rows, column: 0, size: width }
    }

    /// A new buffer `[batch, rows, width]`.
    pub fn new(builder: &mut PlanBuilder, name: &str, axes: [u32; 3], role: Role) -> Result<Self> {
        Ok(Self::all(builder.buffer(name, &axes.map(u64::from), role)?, axes))
    }

    /// Of each batch item only these rows, counted from the first that there is.
    pub fn part(self, first: u32, count: u32) -> Self {
        Self { first, count, ..self }
    }

    /// Of each row only these numbers, counted from the first that there is.
    pub fn columns(self, column: u32, size: u32) -> Self {
        Self { column, size, ..self }
    }

    /// Of these batch items only so many from `first` on.
    pub fn batch_items(self, first: u32, items: u32) -> Self {
        Self { item: self.item + first, batch: items, ..self }
    }

    /// Binds a slice of them.
    fn bind(&self, builder: &PlanBuilder, slice: Slice) -> Result<Rows> {
        let [rows, stride] = [self.rows, self.stride].map(u64::from);
        let first = (u64::from(self.item + slice.item) * rows + u64::from(self.first) + u64::from(slice.row)) * stride;
        let len = (u64::from(slice.items - 1) * rows + u64::from(slice.rows)) * stride;
        let (binding, ahead) = builder.bind(self.buffer, first, len)?;
        Ok(Rows { binding, offset: ahead + self.column, batch_stride: self.rows * self.stride, row_stride: self.stride })
    }

    /// All of them, in one binding.
    ///
    /// # Errors
    /// [`crate::Error::BindingTooLarge`].
    pub fn rows(&self, builder: &PlanBuilder) -> Result<Rows> {
        self.bind(builder, Slice { item: 0, items: self.batch, row: 0, rows: self.count })
    }

    /// Slices of these tokens such that of each of `all`, which have as many, a binding holds one, and none has more than `most` rows.
    fn slices(&self, limits: &PlanLimits, all: &[Self], most: u64) -> Vec<Slice> {
        let bound = limits.binding_bytes.saturating_sub(BINDING_SLACK) / ELEMENT_BYTES;
        let items = all.iter().map(|tokens| bound / (u64::from(tokens.rows) * u64::from(tokens.stride)).max(1)).min();
        let items = items.unwrap_or(u64::MAX).min(most / u64::from(self.count).max(1)).min(self.batch.into()) as u32;
        if items > 0 {
            let first = (0..self.batch).step_by(items as usize);
            return first.map(|item| Slice { item, items: items.min(self.batch - item), row: 0, rows: self.count }).collect();
        }
        let rows = all.iter().map(|tokens| bound / u64::from(tokens.stride).max(1)).min().unwrap_or(u64::MAX).min(most);
        let rows = rows.clamp(1, self.count.max(1).into()) as u32;
        let pieces = |item| {
            let count = self.count;
            (0..count).step_by(rows as usize).map(move |row| Slice { item, items: 1, row, rows: rows.min(count - row) })
        };
        (0..self.batch).flat_map(pieces).collect()
    }
}

/// The items of a batch that go through something together that takes `numbers` for each: as many as scratch and a binding hold, at least one.
pub(super) fn items_at_once(limits: &PlanLimits, batch: u32, numbers: u64) -> u32 {
    let most = limits.scratch_bytes.min(limits.binding_bytes.saturating_sub(BINDING_SLACK)) / ELEMENT_BYTES;
    (most / numbers.max(1)).clamp(1, batch.max(1).into()) as u32
}

/// The first item and the number of items of each part of a batch.
pub(super) fn parts(batch: u32, items: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..batch).step_by(items.max(1) as usize).map(move |first| (first, items.min(batch - first)))
}

/// Learned scales and shifts of a normalisation.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    learned: Projection,
    epsilon: f32,
}

/// Adds the scales `NAME.weight [width]` and shifts `NAME.bias [width]`.
pub(super) fn norm(builder: &mut PlanBuilder, name: &str, width: u32, epsilon: f32) -> Result<Norm> {
    let axes = [u64::from(width)];
    let [scales, shifts] = ["weight", "bias"].map(|part| builder.buffer(&format!("{name}.{part}"), &axes, Role::Input));
    let learned = Projection { weight: builder.bind_all(scales?)?, bias: Some(builder.bind_all(shifts?)?) };
    Ok(Norm { learned, epsilon })
}

impl Norm {
    /// Normalises `x` into as many rows of `y`.
    pub fn push(&self, builder: &mut PlanBuilder, x: Tokens, y: Tokens) -> Result<()> {
        let Projection { weight, bias } = self.learned;
        for slice in x.slices(&builder.limits().clone(), &[x, y], u64::MAX) {
            let (from, to) = (x.bind(builder, slice)?, y.bind(builder, slice)?);
            let params = LayerNormParams {
                batch: slice.items,
                rows: slice.rows,
                size: x.size,
                epsilon: self.epsilon,
                x_offset: from.offset,
                x_batch_stride: from.batch_stride,
                x_row_stride: from.row_stride,
                y_offset: to.offset,
                y_batch_stride: to.batch_stride,
                y_row_stride: to.row_stride,
            };
            builder.push("norm", params, &[from.binding, weight, bias.unwrap_or(weight), to.binding])?;
        }
        Ok(())
    }
}

/// `y = act(x W' + b) + residual`.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub label: &'static str,
    pub projection: Projection,
    /// The first of the projection's outputs that is computed; there are as many as rows of `y` have numbers.
    pub first: u32,
    pub activation: Option<Activation>,
    pub residual: Option<Tokens>,
}

impl Product {
    /// Nothing but the product and its bias.
    pub fn new(label: &'static str, projection: Projection) -> Self {
        Self { label, projection, first: 0, activation: None, residual: None }
    }

    /// Multiplies the rows of `x` into as many of `y`.
    pub fn push(&self, builder: &mut PlanBuilder, x: Tokens, y: Tokens) -> Result<()> {
        let all: Vec<Tokens> = [x, y].into_iter().chain(self.residual).collect();
        for slice in x.slices(&builder.limits().clone(), &all, u64::MAX) {
            let residual = self.residual.map(|residual| residual.bind(builder, slice)).transpose()?;
            let own = Dense::new((slice.items, slice.rows), (x.size, y.size), self.projection);
            let (from, to) = (x.bind(builder, slice)?, y.bind(builder, slice)?);
            Dense { first: self.first, activation: self.activation, residual, ..own }.push(builder, self.label, from, to)?;
        }
        Ok(())
    }
}

/// The two layers of an MLP.
#[derive(Clone, Copy)]
pub(super) struct Mlp {
    pub first: Projection,
    pub second: Projection,
    pub activation: Activation,
}

/// Adds the layers of an MLP, from `width` numbers to `inside` to `width`: weights and biases of these names.
pub(super) fn mlp(
    builder: &mut PlanBuilder,
    [first, second]: [&str; 2],
    [width, inside]: [u32; 2],
    activation: Activation,
) -> Result<Mlp> {
    let [width, inside] = [width, inside].map(u64::from);
    let first = projection(builder, first, inside, width, true)?;
    Ok(Mlp { first, second: projection(builder, second, width, inside, true)?, activation })
}

/// Scratch for the inside of MLPs on so many rows: as many of them as go through together.
pub(super) fn inside_of_mlp(builder: &mut PlanBuilder, rows: u64, width: u32) -> Result<Tokens> {
    let limits = builder.limits();
    let most = limits.scratch_bytes.min(limits.binding_bytes.saturating_sub(BINDING_SLACK)) / ELEMENT_BYTES;
    let rows = (most / u64::from(width).max(1)).clamp(1, rows.max(1).min(u32::MAX.into())) as u32;
    Tokens::new(builder, "inside of the mlp", [1, rows, width], Role::Scratch)
}

impl Mlp {
    /// Sends `x` through, adds `residual`, into as many rows of `y`; `inside` is for what is between, and released.
    pub fn push(&self, builder: &mut PlanBuilder, inside: Tokens, x: Tokens, residual: Tokens, y: Tokens) -> Result<()> {
        for slice in x.slices(&builder.limits().clone(), &[x, residual, y], inside.rows.into()) {
            let (binding, offset) = builder.bind(inside.buffer, 0, rows_of(slice) * u64::from(inside.stride))?;
            let (from, to) = (x.bind(builder, slice)?, y.bind(builder, slice)?);
            let added = residual.bind(builder, slice)?;
            let between = Rows { binding, offset, batch_stride: slice.rows * inside.stride, row_stride: inside.stride };
            let rows = (slice.items, slice.rows);
            let first = Dense::new(rows, (x.size, inside.size), self.first);
            Dense { activation: Some(self.activation), ..first }.push(builder, "mlp, first half", from, between)?;
            let second = Dense::new(rows, (inside.size, y.size), self.second);
            Dense { residual: Some(added), ..second }.push(builder, "mlp, second half", between, to)?;
        }
        builder.release(&[inside.buffer])
    }
}

fn rows_of(slice: Slice) -> u64 {
    u64::from(slice.items) * u64::from(slice.rows)
}

/// A clip's pixels as tokens.
#[derive(Clone, Copy)]
pub(super) struct Embedding {
    /// `[batch, channels, frames, height, width]`.
    pub clip: BufferId,
    /// Those sizes, without the batch.
    pub sizes: [u32; 4],
    /// Frames, height and width of a cuboid.
    pub cuboid: [u32; 3],
    /// Cuboids along time, from top to bottom and from left to right: where they go beyond the clip there are zeros, what they leave over is not seen.
    pub grid: [u32; 3],
    /// Tokens ahead of the cuboids' that are made of nothing but their bias: 1 for a class token, else 0.
    pub skip: u32,
    pub projection: Projection,
    /// The bias has a row for each token, instead of one for all.
    pub bias_per_row: bool,
}

impl Embedding {
    /// `y = cuboids W' + bias` for all tokens of `y`.
    pub fn push(&self, builder: &mut PlanBuilder, y: Tokens) -> Result<()> {
        let [channels, clip_frames, clip_rows, clip_columns] = self.sizes;
        let [depth, height, width] = self.cuboid;
        let [frames, grid_rows, grid_columns] = self.grid;
        let numbers = channels * depth * height * width;
        let item = self.sizes.map(u64::from).iter().product::<u64>();
        let items = items_at_once(builder.limits(), y.batch, u64::from(y.count) * u64::from(numbers));
        let rows = Tokens::new(builder, "cuboids", [items, y.count, numbers], Role::Scratch)?;
        for (first, items) in parts(y.batch, items) {
            let (clip, clip_offset) = builder.bind(self.clip, u64::from(first) * item, u64::from(items) * item)?;
            let x = rows.batch_items(0, items).rows(builder)?;
            let cut = CuboidsParams {
                batch: items,
                channels,
                frames,
                grid_rows,
                grid_columns,
                depth,
                height,
                width,
                clip_frames,
                clip_rows,
                clip_columns,
                skip: self.skip,
                clip_offset,
                rows_offset: x.offset,
                ..CuboidsParams::default()
            };
            builder.push("cuboids", cut.of_pixels(), &[clip, x.binding])?;
            let embed = Dense::new((items, y.count), (numbers, y.size), self.projection);
            let to = y.batch_items(first, items).rows(builder)?;
            Dense { bias_per_row: self.bias_per_row, ..embed }.push(builder, "embedding", x, to)?;
        }
        builder.release(&[rows.buffer])
    }
}

/// The mean of the rows of each batch item of `x`, into the buffer `y [batch, 1, size]`.
pub(super) fn mean(builder: &mut PlanBuilder, label: &'static str, x: Tokens, y: Tokens) -> Result<()> {
    let bound = builder.limits().binding_bytes.saturating_sub(BINDING_SLACK) / ELEMENT_BYTES;
    let item = (u64::from(x.rows) * u64::from(x.stride)).max(1);
    let items = (bound / item).clamp(1, x.batch.max(1).into()) as u32;
    for (first, items) in parts(x.batch, items) {
        let [from, to] = [x, y].map(|tokens| tokens.batch_items(first, items).rows(builder));
        let (from, to) = (from?, to?);
        let params = SegmentMeansParams {
            batch: items,
            heads: 1,
            groups: 1,
            frames: 1,
            segments: 1,
            short_segments: 1,
            short_length: x.count,
            size: x.size,
            x_offset: from.offset,
            x_batch_stride: from.batch_stride,
            x_patch_stride: from.row_stride,
            out_offset: to.offset,
            ..SegmentMeansParams::default()
        };
        builder.push(label, params, &[from.binding, to.binding])?;
    }
    Ok(())
}

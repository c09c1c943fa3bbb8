//! The blocks of a stage: attention within windows and an MLP, each on normalised tokens and added to what came in.

use super::super::dense::{Dense, Projection, Rows, projection};
use super::super::motionformer::Features;
use super::super::tokens::{Product, Tokens, inside_of_mlp, items_at_once, mlp, norm, parts};
use super::spec::{Stage, Windows};
use super::{EPSILON, NetworkPlan};
use crate::error::Result;
use crate::params::{Activation, AttendWindowsParams, LinearParams};
use crate::plan::{BINDING_SLACK, Binding, BufferId, ELEMENT_BYTES, PlanBuilder, Role};

/// The buffers that a stage's blocks share.
pub(super) struct Buffers {
    /// Two that take turns in holding the tokens, unless they are handed out.
    turns: [Tokens; 2],
    normed: Tokens,
    attended: Tokens,
    inside: Tokens,
    /// Queries, keys and values `[1 + items * tokens, 3 * heads * head size]`; those of padded places come first.
    qkv: BufferId,
    /// Batch items and heads that go through attention together.
    items: u32,
    heads: u32,
}

impl Buffers {
    /// What attention makes of the tokens.
    pub fn attended(&self) -> Tokens {
        self.attended
    }
}

/// What a block's attention has learned.
struct Attention {
    qkv: Projection,
    table: Binding,
    windows: Windows,
}

impl NetworkPlan<'_> {
    /// Appends a stage up to the block `last`: its tokens behind that.
    pub(super) fn push_stage(&mut self, number: usize, stage: &Stage, tokens: Tokens, last: u32) -> Result<Tokens> {
        let name = self.architecture.stage_name(number);
        self.builder.name_under(&name);
        let buffers = self.buffers(stage, tokens)?;
        let mut stream = tokens;
        for block in 0..stage.depth.min((last - stage.first_block).saturating_add(1)) {
            self.builder.name_under(&format!("{name}{block}."));
            stream = self.push_block(stage, &buffers, block, stream)?;
        }
        self.builder.name_under("");
        Ok(stream)
    }

    fn buffers(&mut self, stage: &Stage, tokens: Tokens) -> Result<Buffers> {
        let [batch, rows, c] = self.axes(stage);
        let in_turn = self.stream(stage, "tokens in turn")?;
        let builder = &mut self.builder;
        let normed = Tokens::new(builder, "normed tokens", [batch, rows, c], Role::Scratch)?;
        let attended = Tokens::new(builder, "attended tokens", [batch, rows, c], Role::Scratch)?;
        let inside = inside_of_mlp(builder, u64::from(batch) * u64::from(rows), stage.hidden)?;
        let items = items_at_once(builder.limits(), batch, (u64::from(rows) + 1) * u64::from(3 * c));
        // Where one clip's are more than a binding holds, some heads go at a time.
        let bound = builder.limits().binding_bytes.saturating_sub(BINDING_SLACK) / ELEMENT_BYTES;
        let of_head = (u64::from(rows) + 1) * u64::from(3 * c / stage.heads);
        let heads = if items > 1 { stage.heads } else { (bound / of_head).clamp(1, stage.heads.into()) as u32 };
        let axes = [u64::from(items) * u64::from(rows) + 1, u64::from(3 * (c / stage.heads) * heads)];
        let qkv = builder.buffer("qkv", &axes, Role::Scratch)?;
        Ok(Buffers { turns: [tokens, in_turn], normed, attended, inside, qkv, items, heads })
    }

    /// The same for attention by itself, on tokens as they are.
    pub(super) fn buffers_around(&mut self, stage: &Stage, tokens: Tokens) -> Result<Buffers> {
        Ok(Buffers { normed: tokens, ..self.buffers(stage, tokens)? })
    }

    fn push_block(&mut self, stage: &Stage, buffers: &Buffers, block: u32, stream: Tokens) -> Result<Tokens> {
        let (c, normed) = (stage.channels, buffers.normed);
        let other = |stream: Tokens| buffers.turns[usize::from(stream.buffer == buffers.turns[0].buffer)];
        norm(&mut self.builder, "norm1", c, EPSILON)?.push(&mut self.builder, stream, normed)?;
        self.push_attention(stage, buffers, block)?;
        let proj = projection(&mut self.builder, "attn.proj", c.into(), c.into(), true)?;
        let target = other(stream);
        let product = Product { residual: Some(stream), ..Product::new("projection", proj) };
        product.push(&mut self.builder, buffers.attended, target)?;
        self.builder.release(&[normed.buffer, buffers.attended.buffer])?;
        norm(&mut self.builder, "norm2", c, EPSILON)?.push(&mut self.builder, target, normed)?;
        let mlp = mlp(&mut self.builder, ["mlp.0", "mlp.3"], [c, stage.hidden], Activation::Gelu)?;
        let is_wanted = self.outputs.features == Some(Features::Block(stage.first_block + block));
        let result = if is_wanted { self.features(stage)? } else { other(target) };
        mlp.push(&mut self.builder, buffers.inside, normed, target, result)?;
        self.builder.release(&[normed.buffer])?;
        Ok(result)
    }

    /// From normalised to attended tokens. Every other block of a stage is shifted.
    pub(super) fn push_attention(&mut self, stage: &Stage, buffers: &Buffers, block: u32) -> Result<()> {
        let [batch, rows, c] = self.axes(stage);
        let builder = &mut self.builder;
        let qkv = projection(builder, "attn.qkv", (3 * c).into(), c.into(), true)?;
        if self.outputs.operands == Some(stage.first_block + block) {
            // Once more and in one piece: what attention itself takes may be in slices of heads.
            let packed = Tokens::new(builder, "operands", [batch, rows, 3 * c], Role::Output)?;
            Product::new("operands", qkv).push(builder, buffers.normed, packed)?;
        }
        let offsets = self.architecture.window.map(|side| 2 * u64::from(side) - 1);
        let table_axes = [offsets.iter().product(), stage.heads.into()];
        let table = builder.buffer("attn.relative_position_bias_table", &table_axes, Role::Input)?;
        let table = builder.bind_all(table)?;
        let attention = Attention { qkv, table, windows: self.architecture.windows(stage.grid, block % 2 == 1) };
        for items in parts(self.batch, buffers.items) {
            for heads in parts(stage.heads, buffers.heads) {
                attention.push(builder, stage, buffers, items, heads, self.architecture.window)?;
            }
        }
        builder.release(&[buffers.qkv])
    }
}

impl Attention {
    /// Some heads of some batch items, each the first and how many.
    fn push(
        &self,
        builder: &mut PlanBuilder,
        stage: &Stage,
        buffers: &Buffers,
        (item, items): (u32, u32),
        (head, heads): (u32, u32),
        table: [u32; 3],
    ) -> Result<()> {
        let (size, tokens) = (stage.channels / stage.heads, stage.tokens());
        let (part, row) = (heads * size, 3 * heads * size);
        self.push_products(builder, stage, buffers, (item, items), (head, heads))?;
        let rows = u64::from(items) * u64::from(tokens);
        let packed = builder.bind(buffers.qkv, 0, (rows + 1) * u64::from(row))?.0;
        let out = buffers.attended.batch_items(item, items).rows(builder)?;
        let params = AttendWindowsParams {
            batch: items,
            heads,
            head_size: size,
            value_size: size,
            scale: (1.0 / f64::from(size).sqrt()) as f32,
            q_offset: row,
            q_batch_stride: tokens * row,
            q_head_stride: size,
            q_row_stride: row,
            k_offset: row + part,
            k_padding_offset: part,
            k_batch_stride: tokens * row,
            k_head_stride: size,
            k_row_stride: row,
            v_offset: row + 2 * part,
            v_padding_offset: 2 * part,
            v_batch_stride: tokens * row,
            v_head_stride: size,
            v_row_stride: row,
            table_offset: head,
            table_stride: stage.heads,
            out_offset: out.offset + head * size,
            out_batch_stride: out.batch_stride,
            out_head_stride: size,
            out_row_stride: out.row_stride,
            ..self.sides(stage, table)
        };
        builder.push("attention within windows", params, &[packed, packed, packed, self.table, out.binding])
    }

    /// The queries, keys and values of these heads, and those of padded places.
    fn push_products(
        &self,
        builder: &mut PlanBuilder,
        stage: &Stage,
        buffers: &Buffers,
        (item, items): (u32, u32),
        (head, heads): (u32, u32),
    ) -> Result<()> {
        let (c, size, tokens) = (stage.channels, stage.channels / stage.heads, stage.tokens());
        let (part, row) = (heads * size, 3 * heads * size);
        // Outputs of the projection: the first, how many, and where they go in a row. All heads are one product.
        let products = match heads == stage.heads {
            true => vec![(0, row, 0)],
            false => (0..3).map(|number| (number * c + head * size, part, number * part)).collect(),
        };
        let x = buffers.normed.batch_items(item, items).rows(builder)?;
        let x = Rows { batch_stride: 0, ..x };
        let rows = u64::from(items) * u64::from(tokens);
        let (binding, ahead) = builder.bind(buffers.qkv, row.into(), rows * u64::from(row))?;
        let (padding, padding_offset) = builder.bind(buffers.qkv, 0, row.into())?;
        for (first, outputs, column) in products {
            let y = Rows { binding, offset: ahead + column, batch_stride: 0, row_stride: row };
            let product = Dense { first, outputs, ..Dense::new((1, items * tokens), (c, outputs), self.qkv) };
            product.push(builder, "queries, keys, values", x, y)?;
            if self.windows.padded {
                let y = Rows { binding: padding, offset: padding_offset + column, batch_stride: 0, row_stride: row };
                push_padding(builder, self.qkv, (first, outputs), y)?;
            }
        }
        Ok(())
    }

    fn sides(&self, stage: &Stage, table: [u32; 3]) -> AttendWindowsParams {
        let Windows { size, shift, .. } = self.windows;
        AttendWindowsParams {
            frames: stage.grid[0],
            rows: stage.grid[1],
            columns: stage.grid[2],
            window_frames: size[0],
            window_rows: size[1],
            window_columns: size[2],
            table_frames: table[0],
            table_rows: table[1],
            table_columns: table[2],
            shift_frames: shift[0],
            shift_rows: shift[1],
            shift_columns: shift[2],
            ..AttendWindowsParams::default()
        }
    }
}

/// The row of padded places: the published code pads normalised tokens with zeros, so their queries, keys and values are the bias. It is
/// multiplied with itself and nothing, so that no other number can reach it.
fn push_padding(builder: &mut PlanBuilder, qkv: Projection, (first, outputs): (u32, u32), y: Rows) -> Result<()> {
    let bias = qkv.bias.unwrap_or(qkv.weight);
    let params = LinearParams {
        batch: 1,
        groups: 1,
        rows: 1,
        inputs: 1,
        outputs,
        has_bias: 1,
        x_offset: first,
        w_offset: first,
        w_output_stride: 1,
        bias_offset: first,
        y_offset: y.offset,
        y_row_stride: y.row_stride,
        product_scale: 0.0,
        ..LinearParams::plain()
    };
    builder.push("queries, keys, values of padded places", params, &[bias, bias, bias, bias, y.binding])
}

//! The blocks of a stage: attention within windows and an MLP, each on normalised tokens and added to what came in.

use super::architecture::{Stage, Windows};
use super::{EPSILON, NetworkPlan};
use crate::networks::Features;
use orthoformer::Result;
use orthoformer::kernel::{Activation, AttendWindows, Linear};
use orthoformer::ops::kit::{
    Alternating, Budget, Mlp, Product, Projection, heads, hidden_layer, mlp, norm, parts, projection, scale_of,
};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::view::View;

/// The buffers that a stage's blocks share.
pub(super) struct Buffers {
    /// Tokens, unless they are handed out.
    stream: Alternating,
    normed: View,
    /// What attention makes of the tokens.
    pub attended: View,
    /// Hidden layer of the MLP.
    hidden: View,
    /// Queries, keys and values of some heads, `[1 + items * tokens, 3 * heads * head size]`: those of padded positions come first.
    qkv: View,
    /// Batch items that go through attention together.
    items: u64,
    /// Heads that go through attention together.
    heads: u64,
}

/// Heads of batch items that go through attention together.
#[derive(Clone, Copy)]
struct Part {
    item: u64,
    items: u64,
    head: u64,
    heads: u64,
}

/// What a block's attention has learned, and its windows.
struct Attention {
    qkv: Projection,
    /// `[relative positions, heads]`.
    table: View,
    /// Frames, rows and columns of the window that the table is for.
    table_window: [u32; 3],
    windows: Windows,
}

impl NetworkPlan<'_> {
    /// Appends a stage up to the block `last`: its tokens behind that.
    pub(super) fn push_stage(&mut self, number: usize, stage: &Stage, tokens: View, last: u32) -> Result<View> {
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

    fn buffers(&mut self, stage: &Stage, tokens: View) -> Result<Buffers> {
        let axes @ [batch, rows, c] = self.axes(stage);
        let stream = Alternating([tokens, self.stream(stage, "tokens in turn")?]);
        let builder = &mut self.builder;
        let normed = builder.array("normed tokens", &axes, Role::Scratch)?;
        let attended = builder.array("attended tokens", &axes, Role::Scratch)?;
        let hidden = hidden_layer(builder, batch * rows, stage.hidden)?;
        let items = Budget::of_scratch(builder.limits()).items((rows + 1) * 3 * c, batch);
        // Where one clip's are more than a binding holds, some heads go at a time.
        let fitting = Budget::of_binding(builder.limits()).items((rows + 1) * 3 * stage.head_size(), stage.heads);
        let heads = if items > 1 { stage.heads } else { fitting };
        let qkv = builder.array("qkv", &[items * rows + 1, 3 * stage.head_size() * heads], Role::Scratch)?;
        Ok(Buffers { stream, normed, attended, hidden, qkv, items, heads })
    }

    /// The same for attention by itself, on tokens as they are.
    pub(super) fn buffers_around(&mut self, stage: &Stage, tokens: View) -> Result<Buffers> {
        Ok(Buffers { normed: tokens, ..self.buffers(stage, tokens)? })
    }

    fn push_block(&mut self, stage: &Stage, buffers: &Buffers, block: u32, x: View) -> Result<View> {
        let (c, normed) = (stage.channels, buffers.normed);
        norm(&mut self.builder, "norm1", c, EPSILON)?.push(&mut self.builder, x, normed)?;
        self.push_attention(stage, buffers, block)?;
        let proj = projection(&mut self.builder, "attn.proj", c, c, true)?;
        let between = buffers.stream.after(x);
        let product = Product { residual: Some(x), ..Product::new("projection", proj) };
        product.push(&mut self.builder, buffers.attended, between)?;
        self.builder.release(&[normed.buffer(), buffers.attended.buffer()])?;
        norm(&mut self.builder, "norm2", c, EPSILON)?.push(&mut self.builder, between, normed)?;
        let mlp: Mlp = mlp(&mut self.builder, ["mlp.0", "mlp.3"], [c, stage.hidden], Activation::Gelu)?;
        let is_wanted = self.outputs.features == Some(Features::Block(stage.first_block + block));
        let y = if is_wanted { self.features(stage)? } else { buffers.stream.after(between) };
        mlp.push(&mut self.builder, buffers.hidden, normed, between, y)?;
        self.builder.release(&[normed.buffer()])?;
        Ok(y)
    }

    /// From normalised to attended tokens. Every other block of a stage is shifted.
    pub(super) fn push_attention(&mut self, stage: &Stage, buffers: &Buffers, block: u32) -> Result<()> {
        let [batch, rows, c] = self.axes(stage);
        let builder = &mut self.builder;
        let qkv = projection(builder, "attn.qkv", 3 * c, c, true)?;
        if self.outputs.operands == Some(stage.first_block + block) {
            // Once more and in one piece: what attention itself takes may be in slices of heads.
            let packed = builder.array("operands", &[batch, rows, 3 * c], Role::Output)?;
            Product::new("operands", qkv).push(builder, buffers.normed, packed)?;
        }
        let table_window = self.architecture.window;
        let relative = table_window.map(|side| 2 * u64::from(side) - 1).iter().product();
        let table = builder.array("attn.relative_position_bias_table", &[relative, stage.heads], Role::Input)?;
        let windows = self.architecture.windows(stage.grid, block % 2 == 1);
        let attention = Attention { qkv, table, table_window, windows };
        for (item, items) in parts(batch, buffers.items) {
            for (head, heads) in parts(stage.heads, buffers.heads) {
                attention.push(builder, stage, buffers, Part { item, items, head, heads })?;
            }
        }
        builder.release(&[buffers.qkv.buffer()])
    }
}

impl Attention {
    fn push(&self, builder: &mut PlanBuilder, stage: &Stage, buffers: &Buffers, part: Part) -> Result<()> {
        self.push_products(builder, stage, buffers, part)?;
        let axes = [1 + part.items * stage.tokens(), 3, part.heads, stage.head_size()];
        let packed = View::of(buffers.qkv.buffer(), &axes);
        let [queries, keys, values] = [0, 1, 2].map(|number| {
            let rows = packed.index(1, number);
            let tokens = rows.from(0, 1).split(0, stage.tokens()).ordered(&[0, 2, 1, 3]);
            if self.windows.padded { tokens.with_extra(&rows) } else { tokens }
        });
        let out = heads(buffers.attended.part(0, part.item, part.items), stage.heads);
        let [frames, rows, columns] = stage.grid;
        let [window_frames, window_rows, window_columns] = self.windows.size;
        let [table_frames, table_rows, table_columns] = self.table_window;
        let [shift_frames, shift_rows, shift_columns] = self.windows.shift;
        let request = AttendWindows {
            queries,
            keys,
            values,
            table: self.table.part(1, part.head, part.heads),
            tokens: out.part(1, part.head, part.heads),
            frames,
            rows,
            columns,
            table_frames,
            table_rows,
            table_columns,
            window_frames,
            window_rows,
            window_columns,
            scale: scale_of(stage.head_size()),
            shift_frames,
            shift_rows,
            shift_columns,
        };
        builder.launch("attention within windows", request)
    }

    /// The queries, keys and values of these heads, and those of padded positions.
    fn push_products(&self, builder: &mut PlanBuilder, stage: &Stage, buffers: &Buffers, part: Part) -> Result<()> {
        let (c, size) = (stage.channels, stage.head_size());
        let width = part.heads * size;
        // Outputs of the projection: the first, how many, and the column that they go to. All heads are one product.
        let products = if part.heads == stage.heads {
            vec![(0, 3 * c, 0)]
        } else {
            (0..3).map(|number| (number * c + part.head * size, width, number * width)).collect()
        };
        let x = buffers.normed.part(0, part.item, part.items).join(0).with_axis(0, 1);
        let packed = View::of(buffers.qkv.buffer(), &[1, 1 + part.items * stage.tokens(), 3 * width]);
        for (first, outputs, column) in products {
            let (projection, y) = (self.qkv.outputs(first, outputs), packed.part(2, column, outputs));
            Product::new("queries, keys, values", projection).push(builder, x, y.from(1, 1))?;
            if let (true, Some(bias)) = (self.windows.padded, projection.bias) {
                push_padding(builder, bias, y.part(1, 0, 1))?;
            }
        }
        Ok(())
    }
}

/// The row of padded positions, `y [1, 1, outputs]`: the published code pads normalised tokens with zeros, so their queries, keys and values are the bias
/// `[outputs]`. It is multiplied with itself and zero, so that no other element can reach it.
fn push_padding(builder: &mut PlanBuilder, bias: View, y: View) -> Result<()> {
    let product = Linear::new(bias.part(0, 0, 1), bias.with_axis(1, 1), y);
    builder.launch("queries, keys, values of padded places", Linear { bias: Some(bias), product_scale: 0.0, ..product })
}

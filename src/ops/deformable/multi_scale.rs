//! D-MS-A: deformable attention at several scales, fused. The formulas are in [`super`].

use super::super::dense::{Projection, projection};
use super::super::tokens::{Mlp, Norm, Product, Tokens, inside_of_mlp, mlp, norm};
use super::motion::Motion;
use super::space_time::{HandedOut, SpaceTime};
use super::{AttentionSpec, EPSILON, Fusion, Grid, MultiScale};
use crate::error::Result;
use crate::params::{Activation, CuboidsParams, LinearParams, RepeatCellsParams};
use crate::plan::{BufferId, PlanBuilder, Role};
use crate::shape::fits_u32;

/// One scale in a plan.
struct Scale {
    strides: [u32; 3],
    grid: Grid,
    convolution: Projection,
    /// What each place covers, a row for the convolution.
    cells: Tokens,
    tokens: Tokens,
    attended: Tokens,
    attention: SpaceTime,
}

/// How scales become one, with its weights and scratch.
enum Fuse {
    Mlp { first: Projection, second: Projection, inside: Tokens },
    Mixer(Box<Mixer>),
}

/// A block of an MLP-Mixer over the scales.
struct Mixer {
    norms: [Norm; 2],
    /// `V_1` and `V_2`.
    mixing: [Projection; 2],
    mlp: Mlp,
    /// Rows of scales, `[items,N*S,C]`, that take turns.
    turns: [Tokens; 3],
    inside: Tokens,
    /// `1/S` for each scale.
    shares: BufferId,
}

/// D-MS-A in a plan, for so many clips at a time.
pub(super) struct Scales {
    scales: Vec<Scale>,
    /// What all scales say of each place, `[items,N,S*C]`.
    together: Tokens,
    channels: u32,
    fuse: Fuse,
}

impl Scales {
    /// Adds weights and scratch; names of the former begin with `prefix`. `operands` says of how many clips displacements and logits are handed out, if they are.
    pub fn new(
        builder: &mut PlanBuilder,
        (spec, several): (&AttentionSpec, &MultiScale),
        grid: Grid,
        [channels, items]: [u32; 2],
        (prefix, operands): (&str, Option<u32>),
    ) -> Result<Self> {
        let mut scales = Vec::new();
        for (number, (&strides, own)) in several.strides.iter().zip(spec.grids(grid)?).enumerate() {
            builder.name_under(&format!("{prefix}{}", MultiScale::prefix(number)));
            let handed_out = operands.map(|clips| HandedOut { clips, prefix: MultiScale::prefix(number) });
            scales.push(Scale::new(builder, spec, (own, strides), [channels, items], handed_out)?);
        }
        builder.name_under(prefix);
        let count = scales.len() as u32;
        let together = Tokens::new(builder, "all scales", [items, grid.tokens(), count * channels], Role::Scratch)?;
        let fuse = match several.fusion {
            Fusion::Mlp => {
                let (c, all) = (u64::from(channels), u64::from(together.size));
                let first = projection(builder, "fuse.fc1", c, all, true)?;
                let second = projection(builder, "fuse.fc2", c, c, true)?;
                let inside = Tokens::new(builder, "inside of the fusion", [items, grid.tokens(), channels], Role::Scratch)?;
                Fuse::Mlp { first, second, inside }
            }
            Fusion::Mixer => Fuse::Mixer(Box::new(Mixer::new(builder, [items, grid.tokens(), count, channels])?)),
        };
        Ok(Self { scales, together, channels, fuse })
    }

    /// Attention of the clips `first .. first + items`, which `x`, `y` and `residual` have.
    pub fn push(
        &self,
        builder: &mut PlanBuilder,
        motions: &[Motion],
        (first, items): (u32, u32),
        [x, y]: [Tokens; 2],
        residual: Option<Tokens>,
    ) -> Result<()> {
        let together = self.together.batch_items(0, items);
        for (number, (scale, motion)) in (0..).zip(self.scales.iter().zip(motions)) {
            let attended = scale.push(builder, motion, (first, items), x)?;
            let to = together.columns(number * self.channels, self.channels);
            scale.push_back(builder, attended, to)?;
        }
        match &self.fuse {
            Fuse::Mlp { first, second, inside } => {
                let inside = inside.batch_items(0, items);
                let widen = Product { activation: Some(Activation::Gelu), ..Product::new("fusion, first half", *first) };
                widen.push(builder, together, inside)?;
                let narrow = Product { residual, ..Product::new("fusion, second half", *second) };
                narrow.push(builder, inside, y)?;
                builder.release(&[inside.buffer])?;
            }
            Fuse::Mixer(mixer) => mixer.push(builder, together, residual, y)?,
        }
        builder.release(&[self.together.buffer])
    }
}

impl Scale {
    fn new(
        builder: &mut PlanBuilder,
        spec: &AttentionSpec,
        (grid, strides): (Grid, [u32; 3]),
        [channels, items]: [u32; 2],
        handed_out: Option<HandedOut>,
    ) -> Result<Self> {
        let [depth, height, width] = strides;
        let c = u64::from(channels);
        let kernel = [c, c, depth.into(), height.into(), width.into()];
        let weight = builder.buffer("conv.weight", &kernel, Role::Input)?;
        let bias = builder.buffer("conv.bias", &[c], Role::Input)?;
        let convolution = Projection { weight: builder.bind_all(weight)?, bias: Some(builder.bind_all(bias)?) };
        let mut rows = |name: &str, width| Tokens::new(builder, name, [items, grid.tokens(), width], Role::Scratch);
        let cells = rows("cells of a scale", channels * depth * height * width)?;
        let (tokens, attended) = (rows("tokens of a scale", channels)?, rows("attended of a scale", channels)?);
        let attention = SpaceTime::new(builder, (spec, grid), [channels, items], handed_out)?;
        Ok(Self { strides, grid, convolution, cells, tokens, attended, attention })
    }

    /// The convolution and attention of the scale.
    fn push(&self, builder: &mut PlanBuilder, motion: &Motion, slice: (u32, u32), x: Tokens) -> Result<Tokens> {
        let [depth, height, width] = self.strides;
        let [cells, tokens, attended] = [self.cells, self.tokens, self.attended].map(|rows| rows.batch_items(0, slice.1));
        let (from, to) = (x.rows(builder)?, cells.rows(builder)?);
        let cut = CuboidsParams {
            batch: slice.1,
            channels: x.size,
            frames: self.grid.frames,
            grid_rows: self.grid.rows,
            grid_columns: self.grid.columns,
            depth,
            height,
            width,
            clip_frames: self.grid.frames * depth,
            clip_rows: self.grid.rows * height,
            clip_columns: self.grid.columns * width,
            clip_offset: from.offset,
            rows_offset: to.offset,
            ..CuboidsParams::default()
        };
        builder.push("cells of a scale", cut.of_tokens(), &[from.binding, to.binding])?;
        Product::new("convolution of a scale", self.convolution).push(builder, cells, tokens)?;
        self.attention.push(builder, motion, slice, [tokens, attended], None)?;
        builder.release(&[cells.buffer, tokens.buffer])?;
        Ok(attended)
    }

    /// Brings tokens back to the finer grid.
    fn push_back(&self, builder: &mut PlanBuilder, x: Tokens, y: Tokens) -> Result<()> {
        let [depth, height, width] = self.strides;
        let (from, to) = (x.rows(builder)?, y.rows(builder)?);
        let params = RepeatCellsParams {
            batch: x.batch,
            frames: self.grid.frames,
            grid_rows: self.grid.rows,
            grid_columns: self.grid.columns,
            depth,
            height,
            width,
            size: x.size,
            x_offset: from.offset,
            y_offset: to.offset,
            y_batch_stride: to.batch_stride,
            y_row_stride: to.row_stride,
        };
        builder.push("back to the finer grid", params, &[from.binding, to.binding])?;
        builder.release(&[x.buffer])
    }
}

impl Mixer {
    fn new(builder: &mut PlanBuilder, [items, tokens, scales, channels]: [u32; 4]) -> Result<Self> {
        let norms = [norm(builder, "fuse.norm1", channels, EPSILON)?, norm(builder, "fuse.norm2", channels, EPSILON)?];
        let between = u64::from(scales);
        let [first, second] =
            ["fuse.scales.fc1", "fuse.scales.fc2"].map(|name| projection(builder, name, between, between, false));
        let mixing = [first?, second?];
        let mlp = mlp(builder, ["fuse.channels.fc1", "fuse.channels.fc2"], [channels; 2], Activation::Gelu)?;
        let rows = [items, tokens * scales, channels];
        let [a, b, c] = ["normed scales", "inside of mixed scales", "mixed scales"]
            .map(|name| Tokens::new(builder, name, rows, Role::Scratch));
        let inside = inside_of_mlp(builder, u64::from(items) * u64::from(rows[1]), channels)?;
        let shares = vec![(1.0 / scales as f32).to_bits(); scales as usize];
        let shares = builder.buffer("shares of scales", &[between], Role::Constant(shares))?;
        Ok(Self { norms, mixing, mlp, turns: [a?, b?, c?], inside, shares })
    }

    fn push(&self, builder: &mut PlanBuilder, together: Tokens, residual: Option<Tokens>, y: Tokens) -> Result<()> {
        let channels = y.size;
        let scales = together.size / channels;
        let rows = Tokens::all(together.buffer, [together.batch, together.rows * scales, channels]);
        let [normed, between, mixed] = self.turns.map(|rows| rows.batch_items(0, together.batch));
        self.norms[0].push(builder, rows, normed)?;
        let widen = Some(Activation::Gelu);
        mix(builder, ("scales mixed, first half", self.mixing[0]), (normed, between), (scales, widen, None))?;
        mix(builder, ("scales mixed, second half", self.mixing[1]), (between, mixed), (scales, None, Some(rows)))?;
        self.norms[1].push(builder, mixed, normed)?;
        self.mlp.push(builder, self.inside, normed, mixed, between)?;
        let shares = Projection { weight: builder.bind_all(self.shares)?, bias: None };
        mix(builder, ("mean of scales", shares), (between, y), (scales, None, residual))?;
        builder.release(&[normed.buffer, between.buffer, mixed.buffer])
    }
}

/// Mixes the scales of each place, number by number: `y[n] = act(V x[n]) + residual[n]`, where `x[n]` has a row for each scale and `y[n]` as many as
/// it has.
fn mix(
    builder: &mut PlanBuilder,
    (label, by): (&'static str, Projection),
    (x, y): (Tokens, Tokens),
    (scales, activation, residual): (u32, Option<Activation>, Option<Tokens>),
) -> Result<()> {
    let (from, to) = (x.rows(builder)?, y.rows(builder)?);
    let added = residual.map(|rows| rows.rows(builder)).transpose()?;
    let places = fits_u32("places of all clips", u64::from(x.batch) * u64::from(x.rows / scales))?;
    // How many rows each place becomes.
    let rows = y.rows * scales / x.rows;
    let params = LinearParams {
        batch: 1,
        groups: places,
        rows,
        inputs: scales,
        outputs: x.size,
        activation: activation.map_or(0, Activation::number),
        has_residual: added.is_some().into(),
        // The matrix and the tokens change places, so that numbers of a token follow each other in what comes out.
        x_row_stride: scales,
        w_offset: from.offset,
        w_group_stride: scales * x.size,
        w_output_stride: 1,
        w_input_stride: x.size,
        residual_offset: added.map_or(0, |rows| rows.offset),
        residual_group_stride: rows * y.stride,
        residual_row_stride: y.stride,
        y_offset: to.offset,
        y_group_stride: rows * y.stride,
        y_row_stride: y.stride,
        ..LinearParams::plain()
    };
    let added = added.map_or(by.weight, |rows| rows.binding);
    builder.push(label, params, &[by.weight, from.binding, by.weight, added, to.binding])
}

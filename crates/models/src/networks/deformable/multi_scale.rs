//! D-MS-A: deformable attention at several scales, fused. The formulas are in [`super`].

use super::layer::{LayerViews, Sizes};
use super::motion::Motion;
use super::space_time::{HandedOut, SpaceTime};
use super::{EPSILON, Fusion, Grid, MultiScale};
use orthoformer::Result;
use orthoformer::kernel::{Activation, Linear, Patchify, RepeatCells};
use orthoformer::ops::kit::{
    Clips, Mlp, Norm, Product, Projection, as_clip, hidden_layer, mlp, norm, on_grid, patch_weight, projection,
};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::view::View;

/// One scale in a plan.
struct Scale {
    /// Frames, rows and columns of the finer grid that a position covers.
    strides: [u32; 3],
    grid: Grid,
    convolution: Projection,
    /// What each position covers, a row for the convolution: `[clips,N,C*t*y*x]`.
    cells: View,
    /// `[clips,N,C]`.
    tokens: View,
    /// `[clips,N,C]`.
    attended: View,
    attention: SpaceTime,
}

/// How scales become one, with its weights and scratch.
#[allow(clippy::large_enum_variant, reason = "made once a plan")]
enum Fuse {
    /// Weights, and the hidden layer `[clips,N,C]`.
    Mlp {
        first: Projection,
        second: Projection,
        hidden: View,
    },
    Mixer(Box<Mixer>),
}

/// A block of an MLP-Mixer over the scales.
struct Mixer {
    norms: [Norm; 2],
    /// `V_1` and `V_2`.
    mixing: [Projection; 2],
    mlp: Mlp,
    /// Rows of scales `[clips,N*S,C]`, normalised.
    normed: View,
    /// Likewise, between two steps.
    between: View,
    /// Likewise, after `V_2`.
    mixed: View,
    /// Hidden layer of the MLP.
    hidden: View,
    /// `1/S` for each scale, `[1,S]`.
    shares: View,
}

/// D-MS-A in a plan, for so many clips at a time.
pub(super) struct Scales {
    scales: Vec<Scale>,
    /// What all scales say of each position, `[clips,N,S*C]`.
    together: View,
    fuse: Fuse,
}

impl Scales {
    /// Adds weights and scratch; names of the former begin with `prefix`. `operands` says of how many clips displacements and logits are handed out, if they are.
    pub fn new(
        builder: &mut PlanBuilder,
        several: &MultiScale,
        sizes: Sizes,
        prefix: &str,
        operands: Option<u64>,
    ) -> Result<Self> {
        let Sizes { spec, grid, channels: c, clips } = sizes;
        let mut scales = Vec::new();
        for (number, (&strides, grid)) in several.strides.iter().zip(spec.grids(grid)?).enumerate() {
            builder.name_under(&format!("{prefix}{}", MultiScale::prefix(number)));
            let handed_out = operands.map(|clips| HandedOut { clips, prefix: MultiScale::prefix(number) });
            scales.push(Scale::new(builder, strides, Sizes { grid, ..sizes }, handed_out)?);
        }
        builder.name_under(prefix);
        let (count, tokens) = (scales.len() as u64, grid.tokens().into());
        let together = builder.array("all scales", &[clips, tokens, count * c], Role::Scratch)?;
        let fuse = match several.fusion {
            Fusion::Mlp => {
                let first = projection(builder, "fuse.fc1", c, count * c, true)?;
                let second = projection(builder, "fuse.fc2", c, c, true)?;
                let hidden = builder.array("hidden layer of the fusion", &[clips, tokens, c], Role::Scratch)?;
                Fuse::Mlp { first, second, hidden }
            }
            Fusion::Mixer => Fuse::Mixer(Box::new(Mixer::new(builder, sizes, count)?)),
        };
        Ok(Self { scales, together, fuse })
    }

    /// Appends the attention of these clips, which `views` have.
    pub fn push(&self, builder: &mut PlanBuilder, motions: &[Motion], clips: Clips, views: LayerViews) -> Result<()> {
        let LayerViews { x, y, residual } = views;
        let (together, channels) = (clips.of_scratch(self.together), x.size(2));
        for (number, (scale, motion)) in (0..).zip(self.scales.iter().zip(motions)) {
            let attended = scale.push(builder, motion, clips, x)?;
            scale.push_back(builder, attended, together.part(2, number * channels, channels))?;
        }
        match &self.fuse {
            Fuse::Mlp { first, second, hidden } => {
                let hidden = clips.of_scratch(*hidden);
                let widen = Product { activation: Some(Activation::Gelu), ..Product::new("fusion, first half", *first) };
                widen.push(builder, together, hidden)?;
                let narrow = Product { residual, ..Product::new("fusion, second half", *second) };
                narrow.push(builder, hidden, y)?;
                builder.release(&[hidden.buffer()])?;
            }
            Fuse::Mixer(mixer) => mixer.push(builder, clips, together, residual, y)?,
        }
        builder.release(&[together.buffer()])
    }
}

impl Scale {
    fn new(builder: &mut PlanBuilder, strides: [u32; 3], sizes: Sizes, handed_out: Option<HandedOut>) -> Result<Self> {
        let Sizes { grid, channels: c, clips, .. } = sizes;
        let [depth, height, width] = strides.map(u64::from);
        let weight = patch_weight(builder, "conv.weight", [c, c, depth, height, width], false)?;
        let bias = builder.array("conv.bias", &[c], Role::Input)?;
        let convolution = Projection { weight, bias: Some(bias) };
        let mut rows = |name: &str, width| builder.array(name, &[clips, grid.tokens().into(), width], Role::Scratch);
        let cells = rows("cells of a scale", weight.size(1))?;
        let (tokens, attended) = (rows("tokens of a scale", c)?, rows("attended of a scale", c)?);
        let attention = SpaceTime::new(builder, sizes, handed_out)?;
        Ok(Self { strides, grid, convolution, cells, tokens, attended, attention })
    }

    /// The finer grid.
    fn finer(&self) -> [u64; 3] {
        let ([frames, rows, columns], [depth, height, width]) = (self.grid.sides(), self.strides.map(u64::from));
        [frames * depth, rows * height, columns * width]
    }

    /// Appends the convolution and attention of the scale, of tokens `x` of the finer grid.
    fn push(&self, builder: &mut PlanBuilder, motion: &Motion, clips: Clips, x: View) -> Result<View> {
        let [cells, tokens, attended] = [self.cells, self.tokens, self.attended].map(|rows| clips.of_scratch(rows));
        let [depth, height, width] = self.strides.map(u64::from);
        let request = Patchify {
            clip: as_clip(x, self.finer()),
            patches: cells.join(0).split(1, depth * height * width).split(2, height * width).split(3, width),
            frames: self.grid.frames,
            grid_rows: self.grid.rows,
            grid_columns: self.grid.columns,
            skip: 0,
        };
        builder.launch("cells of a scale", request)?;
        Product::new("convolution of a scale", self.convolution).push(builder, cells, tokens)?;
        self.attention.push(builder, motion, clips, LayerViews { x: tokens, y: attended, residual: None })?;
        builder.release(&[cells.buffer(), tokens.buffer()])?;
        Ok(attended)
    }

    /// Brings tokens back to the finer grid.
    fn push_back(&self, builder: &mut PlanBuilder, x: View, y: View) -> Result<()> {
        let [depth, height, width] = self.strides;
        let (x, y) = (on_grid(x, self.grid.sides()), on_grid(y, self.finer()));
        builder.launch("back to the finer grid", RepeatCells { x, y, depth, height, width })?;
        builder.release(&[x.buffer()])
    }
}

impl Mixer {
    fn new(builder: &mut PlanBuilder, sizes: Sizes, scales: u64) -> Result<Self> {
        let Sizes { grid, channels: c, clips, .. } = sizes;
        let norms = [norm(builder, "fuse.norm1", c, EPSILON)?, norm(builder, "fuse.norm2", c, EPSILON)?];
        let mixing = ["fuse.scales.fc1", "fuse.scales.fc2"].map(|name| projection(builder, name, scales, scales, false));
        let [first, second] = mixing;
        let mixing = [first?, second?];
        let mlp = mlp(builder, ["fuse.channels.fc1", "fuse.channels.fc2"], [c; 2], Activation::Gelu)?;
        let rows = u64::from(grid.tokens()) * scales;
        let mut of_scales = |name: &str| builder.array(name, &[clips, rows, c], Role::Scratch);
        let normed = of_scales("normed scales")?;
        let between = of_scales("hidden layer of mixed scales")?;
        let mixed = of_scales("mixed scales")?;
        let hidden = hidden_layer(builder, clips * rows, c)?;
        let shares = vec![(1.0 / scales as f32).to_bits(); scales as usize];
        let shares = builder.buffer("shares of scales", &[scales], Role::Constant(shares))?;
        Ok(Self { norms, mixing, mlp, normed, between, mixed, hidden, shares: View::of(shares, &[1, scales]) })
    }

    fn push(&self, builder: &mut PlanBuilder, clips: Clips, together: View, residual: Option<View>, y: View) -> Result<()> {
        let [normed, between, mixed] = [self.normed, self.between, self.mixed].map(|rows| clips.of_scratch(rows));
        let rows = View::of(together.buffer(), &normed.shape());
        let ([first_norm, second_norm], [first, second]) = (self.norms, self.mixing);
        first_norm.push(builder, rows, normed)?;
        let activation = Some(Activation::Gelu);
        let widen = Product { activation, ..Product::new("scales mixed, first half", first) };
        mix(builder, &widen, normed, between)?;
        let narrow = Product { residual: Some(rows), ..Product::new("scales mixed, second half", second) };
        mix(builder, &narrow, between, mixed)?;
        second_norm.push(builder, mixed, normed)?;
        self.mlp.push(builder, self.hidden, normed, mixed, between)?;
        let shares = Projection { weight: self.shares, bias: None };
        mix(builder, &Product { residual, ..Product::new("mean of scales", shares) }, between, y)?;
        builder.release(&[normed.buffer(), between.buffer(), mixed.buffer()])
    }
}

/// Mixes the scales of each position, element by element: `y[n] = act(V x[n]) + residual[n]`, where `x[n]` has a row for each scale and `y[n]` one for each
/// row of `V`.
fn mix(builder: &mut PlanBuilder, by: &Product, x: View, y: View) -> Result<()> {
    let weight = by.projection.weight;
    let by_position = |tokens: View, rows: u64| tokens.join(0).split(0, rows);
    // The matrix and the tokens change sides, so that elements of a token follow each other in what comes out.
    let tokens = by_position(x, weight.size(1)).ordered(&[0, 2, 1]);
    let residual = by.residual.map(|residual| by_position(residual, weight.size(0)));
    let product = Linear::new(weight, tokens, by_position(y, weight.size(0))).activated(by.activation);
    builder.launch(by.label, Linear { residual, ..product })
}

//! Deformable Video Transformer: queries look at a few points of each frame of their sub-clip, where motion says (Wang and Torresani, 2022).
//!
//! No code was published; these are the formulas here, and the names of tensors below are the format of its checkpoints.
//!
//! ```text
//! x_0     = patches W_e' + b_e + positions
//! x'_i    = x_i + attention_i(LN(x_i))
//! x_{i+1} = x'_i + W_2' gelu(W_1' LN(x'_i) + b_1) + b_2
//! logits  = W_h' mean over all tokens of LN(x_L) + b_h
//!
//! D-ST-A: sub-clips of G frames; for each query n = (f,y,x), head h, frame g of its sub-clip and sample p
//! displacement[h,n,g,p] = motion[n,g] + W_{h,p} [q_{h,n}; motion[n,g]] + b_{h,p}
//! logits[h,n,g,p]       = w_{h,p} . gelu(W_m motion[n,g] + b_m) + c_{h,p}              (motion)
//!                       = q_{h,n} . k_h at (x, y) + displacement, in frame g, / sqrt D   (dot)
//! out[h,n]              = sum_{g,p} softmax_{g,p}(logits[h,n,g,p]) v_h at (x, y) + displacement, in frame g
//! y[n]                  = W_o' out[n] + b_o
//! ```
//!
//! Values and keys are bilinear between patches and zero outside of the grid. `motion[n,g]`, (dx, dy) in patches, says where the patch `n` is in frame `g`.
//!
//! *Motion* is found by block matching ([`MotionSource::Blocks`]; the kernel `match_blocks` has the rule), or given as the input `motion [B,F,Y,X,G,2]`
//! ([`MotionSource::Given`]). The decoders that this crate uses hand out pictures alone (`rusty_h264-decoder` has the vectors of a stream's first
//! list behind a switch for its own diagnosis, for a whole process); motion from a codec comes in as given.
//!
//! *D-MS-A* has D-ST-A at several scales. Each scale has tokens of its own, made by a convolution whose kernel is its stride, over which it attends with weights
//! of its own; results are repeated at all positions that a token covers, and fused:
//!
//! ```text
//! t_s = W_s x + b_s over the tokens that a position of scale s covers,   z_s = D-ST-A_s(t_s),   z = [z_1; ...; z_S]
//! mlp:    y = W_2' gelu(W_1' z + b_1) + b_2
//! mixer:  u = z + V_2 gelu(V_1 LN_1(z)),   w = u + W_2' gelu(W_1' LN_2(u) + b_1) + b_2,   y = mean_s w
//! ```
//!
//! Sub-clips cover the same time at each scale: where the stride along time is `t`, `G / t` frames. The motion of a position of scale `s` is the mean over the
//! patches it covers, divided by the stride, in the first of its frames, to the first of the other position's frames. The mixer's `V_1` and `V_2` mix the
//! scales, element by element, its `W_1` and `W_2` elements, scale by scale.
//!
//! # Tensors
//!
//! Plans take `clip [B,3,T,S,S]`, normalised, and `positions [N,C]`, made of `patch_embed.proj.bias`, `pos_embed` and `time_embed`: their sum for each token,
//! frame by frame. All others are inputs under their names. Outputs are `logits [B,classes]` and `features [B,N,C]`; as operands of a block
//! of D-ST-A, where samples lie and what they count: `displacements [B,H,N,G,2P]`, dx and dy of each, and `sample_logits [B,H,N,G,P]`, before
//! their softmax. D-MS-A has both for each scale, `scales.S.displacements` and `scales.S.sample_logits`, with its own `N` and `G`.
//!
//! | tensor | shape |
//! | --- | --- |
//! | `patch_embed.proj.weight`, `.bias` | `[C,3,d,p,p]`, `[C]` |
//! | `pos_embed`, `time_embed` | `[1,Y*X,C]`, `[1,F,C]` |
//! | `blocks.I.norm1.weight`, `.bias`; `norm2` alike | `[C]` |
//! | `blocks.I.attn.*` | see below |
//! | `blocks.I.mlp.fc1.weight`, `.bias` | `[hidden,C]`, `[hidden]` |
//! | `blocks.I.mlp.fc2.weight`, `.bias` | `[C,hidden]`, `[C]` |
//! | `norm.weight`, `.bias` | `[C]` |
//! | `head.weight`, `.bias` | `[classes,C]`, `[classes]` |
//!
//! D-ST-A, after `blocks.I.attn.`:
//!
//! | tensor | shape |
//! | --- | --- |
//! | `qv.weight`, `.bias` (logits of motion) | `[2C,C]`, `[2C]` |
//! | `qkv.weight`, `.bias` (dot) | `[3C,C]`, `[3C]` |
//! | `offsets.weight`, `.bias` | `[H,2P,D+2]`, `[H,2P]`: rows dx, dy of sample 0, of sample 1, ...; columns the query's, then the motion's dx, dy |
//! | `motion.weight`, `.bias` (logits of motion) | `[E,2]`, `[E]` |
//! | `logits.weight`, `.bias` (logits of motion) | `[H*P,E]`, `[H*P]` |
//! | `proj.weight`, `.bias` | `[C,C]`, `[C]` |
//!
//! D-MS-A has all of these after `blocks.I.attn.scales.S.`, and:
//!
//! | tensor | shape |
//! | --- | --- |
//! | `scales.S.conv.weight`, `.bias` | `[C,C,t,y,x]`, `[C]` |
//! | `fuse.fc1.weight`, `.bias` (mlp) | `[C,scales*C]`, `[C]` |
//! | `fuse.fc2.weight`, `.bias` (mlp) | `[C,C]`, `[C]` |
//! | `fuse.norm1.weight`, `.bias`; `norm2` alike (mixer) | `[C]` |
//! | `fuse.scales.fc1.weight`, `fuse.scales.fc2.weight` (mixer) | `[scales,scales]` |
//! | `fuse.channels.fc1.weight`, `.bias`; `fc2` alike (mixer) | `[C,C]`, `[C]` |
//!
//! # Configuration
//!
//! The `config.json` beside such a checkpoint:
//!
//! | key | means |
//! | --- | --- |
//! | `model_type` | `"deformable_video_transformer"` |
//! | `image_size` | height and width of a clip, pixels |
//! | `num_frames` | frames of a clip |
//! | `patch_size` | `[d,p,p]`: frames, height and width of a patch |
//! | `hidden_size` | `C` |
//! | `num_hidden_layers` | blocks |
//! | `num_attention_heads` | `H` |
//! | `intermediate_size` | elements of the hidden layer of the MLP |
//! | `num_labels` | classes |
//! | `qkv_bias` | whether `qv` or `qkv` has a bias; `true` if not said |
//! | `sub_clip` | `G`, frames of patches; 4 if not said |
//! | `samples` | `P`; 8 if not said |
//! | `logits` | `"motion"` (if not said) or `"dot"` |
//! | `motion_hidden_size` | `E`; 64 if not said |
//! | `motion_window` | farthest shift of block matching, pixels; 8 if not said |
//! | `image_mean`, `image_std` | what clips are normalised by, one value a channel; 0.45 and 0.225 if not said |
//! | `scales` | strides `[[t,y,x], ...]` of D-MS-A; missing for D-ST-A |
//! | `fusion` | `"mlp"` (if not said) or `"mixer"`, of D-MS-A |

mod architecture;
mod attribution;
mod config;
pub mod layer;
mod motion;
mod multi_scale;
mod network;
mod positions;
mod space_time;

pub use architecture::{Architecture, AttentionSpec, Fusion, Logits, MotionSource, MultiScale};
pub(super) use config::READER;
pub use layer::LayerSpec;
pub use orthoformer::ops::sampling::Grid;

use super::{CHANNELS, Features, NetworkOutputs};
use layer::{LayerPlan, LayerViews};
use motion::Motion;
use orthoformer::Result;
use orthoformer::kernel::Activation;
use orthoformer::ops::kit::{Embedding, Mlp, Product, Projection, hidden_layer, mean, mlp, norm, patch_weight, projection};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::view::View;

/// What layer normalisations add to the variance.
const EPSILON: f32 = 1e-6;

/// Plans a network for so many clips.
///
/// # Errors
/// Those of [`Architecture::check_batch`] and [`NetworkOutputs::check`]; [`Argument`](orthoformer::Error::Argument) for trajectories; [`BindingTooLarge`](orthoformer::Error::BindingTooLarge) if what one
/// clip takes in a layer exceeds a binding.
pub fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
    architecture.check_batch(batch)?;
    outputs.check(architecture.depth)?;
    outputs.refuse_trajectories("deformable video transformer")?;
    let mut network = NetworkPlan::new(architecture, outputs, batch, limits)?;
    let motions = network.embed()?;
    for block in 0..=outputs.last_block(architecture.depth) {
        network.push_block(&motions, block)?;
    }
    network.finish()?;
    Ok(network.builder.build())
}

/// A network being planned.
struct NetworkPlan<'s> {
    architecture: &'s Architecture,
    outputs: &'s NetworkOutputs,
    grid: Grid,
    builder: PlanBuilder,
    /// The tokens `[B,N,C]`, after what has been planned so far.
    stream: View,
    /// Tokens after an MLP, unless they are handed out.
    home: View,
    /// Tokens after attention.
    between: View,
    /// Tokens brought to mean zero and variance one.
    normed: View,
    /// Hidden layer of the MLP.
    hidden: View,
}

impl<'s> NetworkPlan<'s> {
    fn new(architecture: &'s Architecture, outputs: &'s NetworkOutputs, batch: u32, limits: PlanLimits) -> Result<Self> {
        let mut builder = PlanBuilder::new(limits);
        let grid = architecture.grid()?;
        let axes @ [clips, tokens, _] = [batch, grid.tokens(), architecture.channels].map(u64::from);
        let home = builder.array("tokens", &axes, Role::Scratch)?;
        let between = builder.array("tokens in turn", &axes, Role::Scratch)?;
        // What blocks add to them is small beside what is there.
        builder.keep_exact(&[home.buffer(), between.buffer()])?;
        let normed = builder.array("normed tokens", &axes, Role::Scratch)?;
        let hidden = hidden_layer(&mut builder, clips * tokens, architecture.hidden.into())?;
        Ok(Self { architecture, outputs, grid, builder, stream: home, home, between, normed, hidden })
    }

    /// The patches' embedding, and positions: the tokens that the first block sees. And the motion of the patches, at each scale.
    fn embed(&mut self) -> Result<Vec<Motion>> {
        let (a, builder) = (self.architecture, &mut self.builder);
        let (batch, rows, c) = (self.stream.size(0), self.stream.size(1), self.stream.size(2));
        let [channels, frames, side] = [CHANNELS, a.frames, a.crop].map(u64::from);
        let clip = builder.array("clip", &[batch, channels, frames, side, side], Role::Input)?;
        let patch @ [depth, height, width] = [a.patch_depth, a.patch, a.patch].map(u64::from);
        let axes = [c, channels, depth, height, width];
        let weight = patch_weight(builder, "patch_embed.proj.weight", axes, false)?;
        let positions = builder.array("positions", &[rows, c], Role::Input)?;
        let projection = Projection { weight, bias: Some(positions) };
        Embedding { clip, patch, grid: self.grid.sides(), skip: 0, projection }.push(builder, self.stream)?;
        let moved = motion::of_clips(builder, a, clip)?;
        Motion::of_scales(builder, &a.attention, self.grid, moved)
    }

    /// Attention and an MLP, each on normalised tokens and added to what came in.
    fn push_block(&mut self, motions: &[Motion], number: u32) -> Result<()> {
        let a = self.architecture;
        let [c, hidden] = [a.channels, a.hidden].map(u64::from);
        let block = format!("blocks.{number}.");
        self.builder.name_under(&block);
        let first = norm(&mut self.builder, "norm1", c, EPSILON)?;
        first.push(&mut self.builder, self.stream, self.normed)?;
        let attention = LayerPlan {
            spec: &a.attention,
            grid: self.grid,
            motions,
            prefix: &format!("{block}attn."),
            operands: self.outputs.operands == Some(number),
        };
        let views = LayerViews { x: self.normed, y: self.between, residual: Some(self.stream) };
        attention.push(&mut self.builder, views)?;
        self.builder.release(&[self.normed.buffer()])?;
        self.builder.name_under(&block);
        let second = norm(&mut self.builder, "norm2", c, EPSILON)?;
        second.push(&mut self.builder, self.between, self.normed)?;
        let mlp: Mlp = mlp(&mut self.builder, ["mlp.fc1", "mlp.fc2"], [c, hidden], Activation::Gelu)?;
        let is_wanted = self.outputs.features == Some(Features::Block(number));
        let y = if is_wanted { self.features()? } else { self.home };
        mlp.push(&mut self.builder, self.hidden, self.normed, self.between, y)?;
        self.builder.name_under("");
        self.builder.release(&[self.normed.buffer()])?;
        self.stream = y;
        Ok(())
    }

    /// `features [B,N,C]`.
    fn features(&mut self) -> Result<View> {
        self.builder.array("features", &self.stream.shape(), Role::Output)
    }

    /// The final norm, and the classifier on the mean of all tokens.
    fn finish(&mut self) -> Result<()> {
        let (batch, c) = (self.stream.size(0), self.stream.size(2));
        let is_final = self.outputs.features == Some(Features::Final);
        if !self.outputs.logits && !is_final {
            return Ok(());
        }
        let norm = norm(&mut self.builder, "norm", c, EPSILON)?;
        let normed = if is_final { self.features()? } else { self.normed };
        norm.push(&mut self.builder, self.stream, normed)?;
        if !self.outputs.logits {
            return Ok(());
        }
        let classes = self.architecture.classes.into();
        let pooled = self.builder.buffer("mean of the tokens", &[batch, c], Role::Scratch)?;
        mean(&mut self.builder, "mean of the tokens", normed, View::of(pooled, &[batch, 1, c]))?;
        let head = projection(&mut self.builder, "head", classes, c, true)?;
        let logits = self.builder.buffer("logits", &[batch, classes], Role::Output)?;
        let (x, y) = (View::of(pooled, &[1, batch, c]), View::of(logits, &[1, batch, classes]));
        Product::new("head", head).push(&mut self.builder, x, y)
    }
}

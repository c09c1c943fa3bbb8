//! Ways to look through a video, side by side at one size, so that a person can choose.
//!
//! Each is one layer of attention between tokens of the same grid, as wide and with as many heads: with its projections, without normalisations and MLP.

use orthoformer::ops::approximation::{
    Approximation, Candidates, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};
use orthoformer::ops::{Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue, layer};
use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::{Error, Result, Shape};
use orthoformer_models::networks::deformable::{self, AttentionSpec, Fusion, Grid, Logits, MultiScale};
use orthoformer_models::networks::{perceiver, swin};

/// Tokens of one clip, and how wide they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChoiceSize {
    /// Frames, rows and columns of patches.
    pub grid: [u32; 3],
    /// `C`: numbers in a token.
    pub channels: u32,
    /// `H`: attention heads.
    pub heads: u32,
}

impl ChoiceSize {
    /// A layer of ViT-B on 16 frames of 224 x 224 pixels, in patches of 2 x 16 x 16.
    pub const BASE: Self = Self { grid: [8, 14, 14], channels: 768, heads: 12 };
    /// Small enough for the reference, with the same kernels and partial tiles.
    pub(super) const REDUCED: Self = Self { grid: [4, 6, 6], channels: 128, heads: 2 };

    fn tokens(&self) -> u32 {
        self.grid.iter().fold(1, |all: u32, &size| all.saturating_mul(size))
    }

    fn shape(&self) -> Result<Shape> {
        let [frames, rows, columns] = self.grid.map(|size| size as usize);
        if self.heads == 0 || !self.channels.is_multiple_of(self.heads) {
            let (given, divisor) = (self.channels.into(), self.heads.into());
            return Err(Error::DoesNotDivide { what: "channels", given, divisor_name: "heads", divisor });
        }
        Shape::new(1, self.heads as usize, frames, rows.saturating_mul(columns), (self.channels / self.heads) as usize)
    }

    /// Strides to the coarser scale: along time 1, of rows and of columns 2, or else 3, or else 1, as they have to divide them.
    fn coarser(&self) -> [u32; 3] {
        let smallest = |side: u32| (2..=3).find(|stride| side.is_multiple_of(*stride)).unwrap_or(1);
        [1, smallest(self.grid[1]), smallest(self.grid[2])]
    }

    fn deformable(&self, logits: Logits, strides: &[[u32; 3]]) -> Result<Plan> {
        let [frames, rows, columns] = self.grid;
        let sub_clip = (1..=SUB_CLIP).rev().find(|sub_clip| frames.is_multiple_of(*sub_clip)).unwrap_or(1);
        let grid = Grid { frames, rows, columns, sub_clip };
        let scales = (!strides.is_empty()).then(|| MultiScale { strides: strides.to_vec(), fusion: Fusion::Mlp });
        let attention = AttentionSpec { heads: self.heads, samples: SAMPLES, logits, qkv_bias: true, scales };
        deformable::layer::plan(
            &deformable::LayerSpec { batch: 1, grid, channels: self.channels, attention },
            PlanLimits::default(),
        )
    }
}

/// A way to attend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Every token to every token: ViViT, TimeSformer's joint attention.
    Joint,
    /// Along time, then within frames: TimeSformer.
    Divided,
    /// Trajectories: Motionformer.
    Trajectory,
    /// Trajectories by greedy orthogonal prototypes.
    Orthoformer,
    /// Trajectories by segment means.
    Nystrom,
    /// Trajectories by random features.
    Performer,
    /// Within shifted windows: Video Swin.
    Windows,
    /// Latents to all tokens: Perceiver.
    Latents,
    /// A few points of each frame, by motion: Deformable Video Transformer.
    DeformableMotion,
    /// The same by products of queries and keys.
    DeformableDot,
    /// By motion, at two scales, fused by an MLP.
    DeformableScales,
}

/// Prototypes and landmarks, and twice as many features.
const COUNT: u32 = 128;
/// Latents.
const LATENTS: u32 = 256;
/// Frames, rows and columns of a window, as in the published networks.
const WINDOW: [u32; 3] = [8, 7, 7];
/// Samples in each of the frames of a sub-clip.
const SAMPLES: u32 = 8;
const SUB_CLIP: u32 = 4;
/// Logits by motion.
const MOTION: Logits = Logits::Motion { hidden: 64 };

impl Choice {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Joint,
        Self::Divided,
        Self::Trajectory,
        Self::Orthoformer,
        Self::Nystrom,
        Self::Performer,
        Self::Windows,
        Self::Latents,
        Self::DeformableMotion,
        Self::DeformableDot,
        Self::DeformableScales,
    ];

    /// What it is, with its sizes.
    pub fn name(self, size: ChoiceSize) -> String {
        let sides = |sides: [u32; 3]| sides.map(|side| side.to_string()).join(" x ");
        match self {
            Self::Joint => "joint".to_owned(),
            Self::Divided => "divided: time, then space".to_owned(),
            Self::Trajectory => "trajectory".to_owned(),
            Self::Orthoformer => format!("trajectory by Orthoformer, {COUNT} prototypes"),
            Self::Nystrom => format!("trajectory by Nystrom, {COUNT} landmarks"),
            Self::Performer => format!("trajectory by Performer, {} features", 2 * COUNT),
            Self::Windows => format!("shifted windows of {}", sides(WINDOW)),
            Self::Latents => format!("{LATENTS} latents to all tokens"),
            Self::DeformableMotion => format!("deformable, {SAMPLES} samples by motion"),
            Self::DeformableDot => format!("deformable, {SAMPLES} samples by query and key"),
            Self::DeformableScales => {
                format!("deformable, {SAMPLES} samples by motion, and at strides {}", sides(size.coarser()))
            }
        }
    }

    /// A network that has it.
    pub fn network(self) -> &'static str {
        match self {
            Self::Joint => "ViViT",
            Self::Divided => "TimeSformer",
            Self::Trajectory | Self::Orthoformer | Self::Nystrom | Self::Performer => "Motionformer",
            Self::Windows => "Video Swin",
            Self::Latents => "Perceiver",
            Self::DeformableMotion | Self::DeformableDot | Self::DeformableScales => "Deformable Video Transformer",
        }
    }

    /// The plans that make up the layer, one after the other.
    ///
    /// # Errors
    /// Those of the plans, for sizes that they cannot take.
    pub fn plans(self, size: ChoiceSize) -> Result<Vec<Plan>> {
        let limits = PlanLimits::default();
        let (shape, count) = (size.shape()?, COUNT.min(size.tokens()));
        let of_layer = |attention, approximation| {
            let biases = Biases { qkv: true, proj_q: true, proj_kv: true, proj: true };
            let outputs = LayerOutputs::default();
            layer::plan(&LayerSpec { shape, attention, approximation, class_token: true, biases, outputs }, limits)
        };
        let trajectory = LayerAttention::Trajectory(TemporalValue::Projected);
        let one = match self {
            Self::Joint => of_layer(LayerAttention::Joint, Approximation::Exact),
            Self::Divided => {
                let [time, space] = [LayerAttention::DividedTime, LayerAttention::DividedSpace];
                return Ok(vec![of_layer(time, Approximation::Exact)?, of_layer(space, Approximation::Exact)?]);
            }
            Self::Trajectory => of_layer(trajectory, Approximation::Exact),
            Self::Orthoformer => of_layer(trajectory, Approximation::Orthoformer(prototypes(count))),
            Self::Nystrom => of_layer(trajectory, Approximation::Nystrom(Nystrom { landmarks: count, iterations: 6 })),
            Self::Performer => {
                let projection = FeatureProjection::Drawn { seed: 0 };
                of_layer(trajectory, Approximation::Performer(Performer { features: 2 * count, projection }))
            }
            Self::Windows => {
                let &ChoiceSize { grid, channels, heads } = &size;
                let spec = swin::layer::LayerSpec { batch: 1, grid, window: WINDOW, shifted: true, channels, heads };
                swin::layer::plan(&spec, limits)
            }
            Self::Latents => {
                let (inputs, ChoiceSize { channels, heads, .. }) = (size.tokens(), size);
                let spec = perceiver::layer::LayerSpec { batch: 1, inputs, channels, latents: LATENTS, heads };
                perceiver::layer::plan(&spec, limits)
            }
            Self::DeformableMotion => size.deformable(MOTION, &[]),
            Self::DeformableDot => size.deformable(Logits::Dot, &[]),
            Self::DeformableScales => size.deformable(MOTION, &[[1; 3], size.coarser()]),
        };
        Ok(vec![one?])
    }
}

/// The paper's selection, from a fixed first pick.
fn prototypes(count: u32) -> Prototypes {
    let greedy = Greedy { start: Some(vec![0]), ..Greedy::default() };
    Prototypes { count, candidates: Candidates::Queries, selection: Selection::Greedy(greedy), per_frame: false }
}

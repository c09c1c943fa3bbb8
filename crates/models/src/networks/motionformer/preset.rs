//! The published networks.

use orthoformer::kernel::Activation;
use orthoformer::ops::{Approximation, TemporalValue};

use super::{Architecture, BlockAttention, Head};
use crate::config::{Config, Overrides, Protocol};

/// The published networks (Patrick et al., NeurIPS 2021, table 5), on Kinetics-400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Motionformer: 16 frames of 224 x 224.
    Base,
    /// Motionformer-L: 32 frames of 224 x 224.
    Long,
    /// Motionformer-HR: 16 frames of 336 x 336.
    HighResolution,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Base, Self::Long, Self::HighResolution];

    /// The network's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "motionformer-b",
            Self::Long => "motionformer-l",
            Self::HighResolution => "motionformer-hr",
        }
    }

    /// The network's structure.
    pub fn architecture(self) -> Architecture {
        let (frames, crop) = match self {
            Self::Base => (16, 224),
            Self::Long => (32, 224),
            Self::HighResolution => (16, 336),
        };
        Architecture {
            frames,
            crop,
            patch: 16,
            patch_depth: 2,
            channels: 768,
            heads: 12,
            depth: 12,
            hidden: 3072,
            attention: BlockAttention::Trajectory(TemporalValue::Identity),
            approximation: Approximation::Exact,
            qkv_bias: true,
            head: Head { hidden: Some(Activation::Tanh), classes: vec![400] },
        }
    }

    /// The network's configuration.
    pub fn config(self) -> Config {
        let sampling_rate = match self {
            Self::Base => 4,
            Self::Long => 3,
            Self::HighResolution => 8,
        };
        let protocol = Protocol { sampling_rate, ..Protocol::default() };
        Config { network: Box::new(self.architecture()), protocol, labels: None, assumed: Vec::new() }
    }
    /// The same, as the caller changes it.
    pub fn config_with(self, overrides: &Overrides) -> Config {
        let (mut config, mut a) = (self.config(), self.architecture());
        a.heads = overrides.heads.unwrap_or(a.heads);
        a.crop = overrides.crop.unwrap_or(a.crop);
        a.frames = overrides.frames.unwrap_or(a.frames);
        if let Some(value) = overrides.temporal_value {
            a.attention = BlockAttention::Trajectory(value);
        }
        if let Some(approximation) = &overrides.approximation {
            a.approximation = approximation.clone();
        }
        if overrides.head_activation.is_some() {
            a.head.hidden = overrides.head_activation;
        }
        let protocol = &mut config.protocol;
        protocol.sampling_rate = overrides.sampling_rate.unwrap_or(protocol.sampling_rate);
        protocol.segments = overrides.segments.unwrap_or(protocol.segments);
        protocol.reversed_channels |= overrides.reversed_channels;
        config.network = Box::new(a);
        config
    }
}

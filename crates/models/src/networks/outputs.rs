//! What networks hand out.

use std::fmt;
use std::str::FromStr;

use orthoformer::{Error, Result};

/// After which part of the network features are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Features {
    /// After this block, from 0: as the next block gets them.
    Block(u32),
    /// After the last block and the final normalisation.
    Final,
}

/// What features at the end are called.
const FINAL: &str = "final";

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(block) => block.fmt(f),
            Self::Final => FINAL.fmt(f),
        }
    }
}

impl FromStr for Features {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == FINAL {
            return Ok(Self::Final);
        }
        let expected = format!("the number of a block, or {FINAL}");
        text.parse().map(Self::Block).map_err(|_| Error::Argument { what: "layer", given: text.to_owned(), expected })
    }
}

/// What a block's trajectory attention hands out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrajectoryOutputs {
    /// The block, from 0.
    pub block: u32,
    /// Patches `n` whose spatial attention is wanted, class token not counted.
    pub queries: Vec<u32>,
}

/// What a network hands out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetworkOutputs {
    /// `logits0 [B,classes]`, for two heads `logits1` too, and `pre_logits [B,C]`, which the heads see.
    pub logits: bool,
    /// `features [B, 1+N, C]`.
    pub features: Option<Features>,
    /// `attention [B,H,Q,F,S]` of chosen patches and `temporal_weights [B,H,N,F]`.
    pub trajectories: Option<TrajectoryOutputs>,
    /// Of this block, from 0, what attention compares: networks say in their modules under which names.
    pub operands: Option<u32>,
}

impl NetworkOutputs {
    /// Nothing yet.
    pub const NOTHING: Self = Self { logits: false, features: None, trajectories: None, operands: None };
    /// Logits alone.
    pub const LOGITS: Self = Self { logits: true, ..Self::NOTHING };

    /// The last of `depth` blocks that what is handed out needs.
    pub(crate) fn last_block(&self, depth: u32) -> u32 {
        let last = depth.saturating_sub(1);
        let features = match self.features {
            Some(Features::Block(block)) => block,
            Some(Features::Final) => last,
            None => 0,
        };
        let inside = self.inside().max().unwrap_or(0);
        if self.logits { last } else { features.max(inside) }
    }

    /// Whether this block of `depth` is asked for nothing but the class token.
    pub(crate) fn is_class_only(&self, block: u32, depth: u32) -> bool {
        block + 1 == depth
            && self.features.is_none_or(|features| features != Features::Final && features != Features::Block(block))
            && self.inside().all(|wanted| wanted != block)
    }

    /// The blocks of which something inside is wanted.
    fn inside(&self) -> impl Iterator<Item = u32> {
        self.trajectories.iter().map(|wanted| wanted.block).chain(self.operands)
    }

    /// Whether there is what is wanted of a network of `depth` blocks, and anything at all.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for other blocks, [`Error::Argument`] for nothing.
    pub fn check(&self, depth: u32) -> Result<()> {
        let features = match self.features {
            Some(Features::Block(block)) => Some(block),
            _ => None,
        };
        self.inside().chain(features).try_for_each(|block| check_block(block, depth))?;
        if *self == Self::NOTHING {
            let expected = "logits, features or trajectories".to_owned();
            return Err(Error::Argument { what: "outputs of a network", given: "none".to_owned(), expected });
        }
        Ok(())
    }

    /// For networks that have no trajectories.
    ///
    /// # Errors
    /// [`Error::Argument`] if some are wanted.
    pub(crate) fn refuse_trajectories(&self, network: &str) -> Result<()> {
        match self.trajectories {
            None => Ok(()),
            Some(_) => Err(Error::Argument {
                what: "outputs of a network",
                given: "trajectories".to_owned(),
                expected: format!("logits or features: a {network} has no trajectories"),
            }),
        }
    }
}

/// Whether there is a block of this number among `depth`.
///
/// # Errors
/// [`Error::OutOfRange`] if not.
fn check_block(block: u32, depth: u32) -> Result<()> {
    if block < depth {
        return Ok(());
    }
    Err(Error::OutOfRange { what: "layer", index: block.into(), count: depth.into() })
}

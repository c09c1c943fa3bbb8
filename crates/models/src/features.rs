//! What a network makes of clips: its tokens.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use orthoformer::tensor::missing;
use orthoformer::{Error, Result, Tensor};
use orthoformer_video::views::Views;

use crate::model::Model;
use crate::networks::{Features, NetworkOutputs, TokenAxes};
use crate::watch::{Observer, Progress, Seen, Watched, watch};

/// Which tokens are features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tokens {
    /// The class token: `[views, C]`.
    Class,
    /// Those of all patches: `[views, F, Y, X, C]`.
    Patches,
    /// The mean of those of all patches: `[views, C]`.
    Mean,
    /// The class token, then those of all patches: `[views, 1+N, C]`.
    All,
}

impl Tokens {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Class, Self::Patches, Self::Mean, Self::All];

    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Patches => "patches",
            Self::Mean => "mean",
            Self::All => "all",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tokens| tokens.name() == name)
    }

    /// Whether a view's are one row of channels.
    pub fn is_row(self) -> bool {
        matches!(self, Self::Class | Self::Mean)
    }

    /// Those that a network usually hands out: the class token, or all patches where there is none.
    pub fn usual(axes: &TokenAxes) -> Self {
        if axes.class_token { Self::Class } else { Self::Patches }
    }

    /// Whether a network has such tokens.
    ///
    /// # Errors
    /// [`Error::Argument`] for the class token of one that has none.
    pub fn check(self, axes: &TokenAxes) -> Result<()> {
        if self == Self::Class && !axes.class_token {
            let expected = "patches, mean or all, as the network has no class token".to_owned();
            return Err(Error::Argument { what: "tokens", given: self.name().to_owned(), expected });
        }
        Ok(())
    }

    /// The axes of a clip's features.
    pub(crate) fn axes(self, tokens: &TokenAxes, views: usize) -> Vec<usize> {
        let axes = match self {
            Self::Class | Self::Mean => vec![],
            Self::Patches => tokens.grid.clone(),
            Self::All => vec![tokens.count()],
        };
        let axes = axes.into_iter().chain([tokens.channels]).map(|size| size as usize);
        std::iter::once(views).chain(axes).collect()
    }

    /// These tokens of all of a view.
    pub(crate) fn of<'a>(self, all: &'a [f32], axes: &TokenAxes) -> Cow<'a, [f32]> {
        let ahead = if axes.class_token { axes.channels as usize } else { 0 };
        let (class, patches) = all.split_at_checked(ahead).unwrap_or((all, &[]));
        match self {
            Self::Class => class.into(),
            Self::Patches => patches.into(),
            Self::Mean => mean(patches, axes.channels as usize).into(),
            Self::All => all.into(),
        }
    }
}

/// The mean of tokens of so many channels.
fn mean(tokens: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0; channels];
    let rows = tokens.chunks_exact(channels.max(1));
    let count = rows.len() as f64;
    rows.for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value)));
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// What a network makes of a clip.
#[derive(Debug)]
pub struct ClipFeatures {
    /// The clip, and whether it was decoded.
    pub watched: Watched,
    /// Its features, view after view, temporal ones in order and within each the spatial ones; `None` if there is something wrong with them or the clip.
    pub features: Option<Tensor>,
}

/// Features of clips. Breaks where `progress` does.
///
/// # Errors
/// Those of [`watch`]; [`orthoformer::Error::OutOfRange`] for a layer that is not there.
pub fn features(
    model: &Model<'_>,
    clips: &[PathBuf],
    (views, batch): (Views, u32),
    (layer, tokens): (Features, Tokens),
    progress: &mut impl Progress<ClipFeatures>,
) -> Result<ControlFlow<()>> {
    let network = &model.config().network;
    let (axes, name) = (network.tokens(layer)?, network.features_name());
    tokens.check(&axes)?;
    let outputs = NetworkOutputs { features: Some(layer), ..NetworkOutputs::NOTHING };
    let mut collector = Collector { name, axes, tokens, values: BTreeMap::new(), progress };
    watch(model, clips, views, batch, &outputs, &mut collector)
}

/// Collects the tokens of one clip after the other.
struct Collector<'p, P> {
    /// The network's output.
    name: &'static str,
    axes: TokenAxes,
    tokens: Tokens,
    /// Those of clips that are not done.
    values: BTreeMap<usize, Vec<f32>>,
    progress: &'p mut P,
}

impl<P: Progress<ClipFeatures>> Observer for Collector<'_, P> {
    fn seen(&mut self, seen: Seen<'_>) -> Result<()> {
        let all = seen.values(self.name).ok_or_else(|| missing(self.name, seen.outputs))?;
        self.values.entry(seen.clip).or_default().extend_from_slice(&self.tokens.of(all, &self.axes));
        self.progress.view();
        Ok(())
    }

    fn done(&mut self, clip: usize, watched: Watched) -> Result<()> {
        let own = self.values.remove(&clip).filter(|_| watched.failure.is_none());
        let axes = self.tokens.axes(&self.axes, watched.views as usize);
        let features = own.map(|own| Tensor::new(axes, own)).transpose()?;
        self.progress.clip(clip, ClipFeatures { watched, features })
    }

    fn flow(&mut self) -> ControlFlow<()> {
        self.progress.flow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_leaves_the_class_token_out() {
        let axes = |class_token| TokenAxes { class_token, grid: vec![1, 2], channels: 2 };
        let all = [9.0, 9.0, 1.0, 2.0, 4.0, -2.0];
        assert_eq!(*Tokens::Mean.of(&all, &axes(true)), [2.5, 0.0]);
        assert_eq!(*Tokens::Mean.of(&all[2..], &axes(false)), [2.5, 0.0]);
        assert_eq!(Tokens::Mean.axes(&axes(true), 3), [3, 2]);
        assert_eq!(*Tokens::Patches.of(&all, &axes(true)), all[2..]);
    }
}

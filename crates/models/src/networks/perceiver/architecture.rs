//! What a network is made of.

use orthoformer::kernel::Activation;
use orthoformer::shape::{at_most, fits_u32, in_range, product};
use orthoformer::{Error, Result};

/// Most elements of a token, classes, latents, and layers.
const MAX_WIDTH: u32 = 1 << 20;
const MAX_LAYERS: u32 = 1 << 10;

/// A layer: attention and the MLP behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// Attention heads.
    pub heads: u32,
    /// Elements of a query and a key, of all heads together.
    pub keys: u32,
    /// Elements of a value, of all heads together.
    pub values: u32,
    /// Elements of the hidden layer of the MLP.
    pub hidden: u32,
    /// Whether what asks is added to what attention answers.
    pub query_residual: bool,
}

/// What makes logits of the latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decoder {
    /// One learned query, as wide as a latent, attends to the latents.
    pub layer: Layer,
    /// Classes.
    pub classes: u32,
}

/// A network's structure: everything but the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Whether names of tensors begin with `perceiver.`, as where there is a classifier.
    pub has_family_names: bool,
    /// `M`: inputs of a batch item.
    pub inputs: u32,
    /// `C`: elements of an input.
    pub input_channels: u32,
    /// `L`: latents.
    pub latents: u32,
    /// `D`: elements of a latent.
    pub channels: u32,
    /// The latents attend to the inputs.
    pub cross: Layer,
    /// Each of these layers: the latents attend to themselves.
    pub own: Layer,
    /// How often all of these layers come, with the same weights.
    pub blocks: u32,
    /// Layers of a block.
    pub layers: u32,
    /// What is between the two layers of the MLPs.
    pub activation: Activation,
    /// A classifier, if there is one.
    pub decoder: Option<Decoder>,
}

/// How a published network makes its inputs of pixels: each is a square of them, and features of its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pixels {
    /// One frame of 224 x 224 pixels (`PerceiverForImageClassificationFourier`): three colours, and two coordinates with 64 frequencies each.
    Picture,
    /// 16 frames of 224 x 224 pixels (as `PerceiverForMultimodalAutoencoding` makes them, before it pads them to the width of its other inputs): squares of 4 x 4
    /// pixels, and three coordinates with 32 frequencies each.
    Video,
}

impl Pixels {
    /// Frames, height and width of the clip.
    pub fn clip(self) -> [u32; 3] {
        match self {
            Self::Picture => [1, 224, 224],
            Self::Video => [16, 224, 224],
        }
    }

    /// Frames, height and width of the square that makes an input.
    pub fn patch(self) -> [u32; 3] {
        match self {
            Self::Picture => [1, 1, 1],
            Self::Video => [1, 4, 4],
        }
    }

    /// Frequencies of each coordinate.
    pub fn frequencies(self) -> u32 {
        match self {
            Self::Picture => 64,
            Self::Video => 32,
        }
    }

    /// Coordinates of a position: of a picture only row and column.
    pub fn coordinates(self) -> u32 {
        match self {
            Self::Picture => 2,
            Self::Video => 3,
        }
    }

    /// Inputs that a clip makes: 50,176.
    pub fn inputs(self) -> u32 {
        let (clip, patch) = (self.clip(), self.patch());
        [0, 1, 2].map(|axis| clip[axis] / patch[axis]).iter().product()
    }

    /// Elements of an input: its pixels, its coordinates, and their sines and cosines.
    pub fn channels(self) -> u32 {
        3 * self.patch().iter().product::<u32>() + self.coordinates() * (1 + 2 * self.frequencies())
    }
}

impl Architecture {
    /// How its inputs are made of pixels, if they are as in one of the published networks.
    pub fn pixels(&self) -> Option<Pixels> {
        let is_alike = |pixels: &Pixels| (pixels.inputs(), pixels.channels()) == (self.inputs, self.input_channels);
        [Pixels::Picture, Pixels::Video].into_iter().find(is_alike)
    }

    /// What names of tensors begin with.
    pub fn prefix(&self) -> &'static str {
        if self.has_family_names { "perceiver." } else { "" }
    }

    /// Layers in which latents attend to themselves, each as often as it comes.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] and [`Error::TooLarge`].
    pub fn all_layers(&self) -> Result<u32> {
        let depth = product("layers", &[self.blocks, self.layers].map(u64::from))?;
        if depth == 0 {
            return Err(Error::ZeroSize { what: "blocks or layers of a block" });
        }
        Ok(at_most("layers", depth, MAX_LAYERS)? as u32)
    }

    /// Whether all sizes fit each other, for so many batch items.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::SizeOverflow`], [`Error::DoesNotDivide`] for heads that do not divide what they share, and
    /// [`Error::Argument`] for latents that layers would change the width of.
    pub fn check_batch(&self, batch: u32) -> Result<()> {
        let classes = self.decoder.map_or(1, |decoder| decoder.classes);
        let sizes = [
            ("batch", batch, u32::MAX),
            ("inputs", self.inputs, u32::MAX),
            ("elements of an input", self.input_channels, MAX_WIDTH),
            ("latents", self.latents, MAX_WIDTH),
            ("elements of a latent", self.channels, MAX_WIDTH),
            ("classes", classes, MAX_WIDTH),
        ];
        in_range(&sizes)?;
        self.all_layers()?;
        for layer in [self.cross, self.own].into_iter().chain(self.decoder.map(|decoder| decoder.layer)) {
            layer.check()?;
        }
        if self.own.values != self.channels || !self.own.query_residual {
            return Err(Error::Argument {
                what: "layers of latents",
                given: format!("values of {} elements, residuals: {}", self.own.values, self.own.query_residual),
                expected: format!("values of {} elements, as a latent has, and residuals", self.channels),
            });
        }
        // So that nothing that shaders index exceeds 32 bits.
        fits_u32("elements of an item's inputs", product("inputs", &[self.inputs, self.input_channels].map(u64::from))?)?;
        let packed = 2 * u64::from(self.own.keys) + u64::from(self.own.values);
        let widest = packed.max(self.cross.keys.into()).max(self.cross.values.into()).max(self.channels.into());
        let all = product("elements of latents", &[batch.into(), self.latents.into(), widest])?;
        fits_u32("elements of latents", all)?;
        let logits = product("elements of a batch's logits", &[batch, classes].map(u64::from))?;
        fits_u32("elements of a batch's logits", logits).map(|_| ())
    }
}

impl Layer {
    /// Elements of a query and a key of one head, and of a value.
    pub(super) fn head_sizes(&self) -> [u32; 2] {
        [self.keys / self.heads, self.values / self.heads]
    }

    fn check(&self) -> Result<()> {
        let sizes = [
            ("elements of keys", self.keys),
            ("elements of values", self.values),
            ("elements of the hidden layer of the mlp", self.hidden),
        ];
        for (what, size) in [("heads", self.heads)].into_iter().chain(sizes) {
            in_range(&[(what, size, MAX_WIDTH)])?;
        }
        for (what, size) in &sizes[..2] {
            if size % self.heads != 0 {
                return Err(Error::DoesNotDivide {
                    what,
                    given: (*size).into(),
                    divisor_name: "heads",
                    divisor: self.heads.into(),
                });
            }
        }
        Ok(())
    }

    /// Of so many queries and keys, each of so many elements.
    pub(super) fn multiply_adds(&self, [rows, width]: [u128; 2], [keys, of_key]: [u128; 2]) -> u128 {
        let [qk, v, hidden] = [self.keys, self.values, self.hidden].map(u128::from);
        let projections = rows * width * (qk + v) + keys * of_key * (qk + v);
        projections + rows * keys * (qk + v) + 2 * rows * width * hidden
    }
}

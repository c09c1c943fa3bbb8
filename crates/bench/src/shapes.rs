//! The sizes that the benchmark is run at.

use std::fmt;
use std::str::FromStr;

use orthoformer::{Error, Result, Shape};

/// Sizes of a layer, but for the batch: written `FxSxCxH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BenchShape {
    /// `F`: frames.
    pub frames: u32,
    /// `S`: patches a frame.
    pub patches: u32,
    /// `C`: channels.
    pub channels: u32,
    /// `H`: heads.
    pub heads: u32,
}

impl BenchShape {
    /// A layer small enough for anything.
    pub const SMALL: Self = Self::new(8, 49, 96, 3);
    /// A layer of Motionformer-B.
    pub const MOTIONFORMER_B: Self = Self::new(8, 196, 768, 12);
    /// A layer of Motionformer-L.
    pub const MOTIONFORMER_L: Self = Self::new(16, 196, 768, 12);
    /// A layer of Motionformer-HR.
    pub const MOTIONFORMER_HR: Self = Self::new(8, 441, 768, 12);
    /// All of them, from small to large.
    pub const ALL: [Self; 4] = [Self::SMALL, Self::MOTIONFORMER_B, Self::MOTIONFORMER_L, Self::MOTIONFORMER_HR];

    const fn new(frames: u32, patches: u32, channels: u32, heads: u32) -> Self {
        Self { frames, patches, channels, heads }
    }

    /// The shape as operations take it.
    ///
    /// # Errors
    /// [`Error::DoesNotDivide`] if the channels are not a multiple of the heads; those of [`Shape::new`].
    pub fn with_batch(self, batch: u32) -> Result<Shape> {
        if self.heads == 0 {
            return Err(Error::ZeroSize { what: "heads" });
        }
        if !self.channels.is_multiple_of(self.heads) {
            let (given, divisor) = (self.channels.into(), self.heads.into());
            return Err(Error::DoesNotDivide { what: "channels", given, divisor_name: "heads", divisor });
        }
        let [frames, patches, heads, size] =
            [self.frames, self.patches, self.heads, self.channels / self.heads].map(|size| size as usize);
        Shape::new(batch as usize, heads, frames, patches, size)
    }

    /// The same kind of layer, small enough for the reference: it takes the same kernels, tiles that are not full included.
    pub fn reduced(self) -> Self {
        let heads = self.heads.min(2);
        let size = self.channels / self.heads.max(1);
        Self { frames: self.frames.min(4), patches: self.patches.min(37), channels: heads * size, heads }
    }
}

impl fmt::Display for BenchShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}x{}", self.frames, self.patches, self.channels, self.heads)
    }
}

impl FromStr for BenchShape {
    type Err = Error;

    /// # Errors
    /// [`Error::Argument`] for anything but four numbers with `x` between that make a layer.
    fn from_str(text: &str) -> Result<Self> {
        let malformed = |expected: String| Error::Argument { what: "shape", given: text.to_owned(), expected };
        let numbers: Option<Vec<u32>> = text.split('x').map(|number| number.parse().ok()).collect();
        let Some(&[frames, patches, channels, heads]) = numbers.as_deref() else {
            return Err(malformed("FRAMESxPATCHESxCHANNELSxHEADS, such as 8x196x768x12".to_owned()));
        };
        let shape = Self::new(frames, patches, channels, heads);
        match shape.with_batch(1) {
            Ok(_) => Ok(shape),
            Err(error) => Err(malformed(format!("FRAMESxPATCHESxCHANNELSxHEADS of a layer ({error})"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_are_written() {
        for shape in BenchShape::ALL {
            assert_eq!(shape.to_string().parse::<BenchShape>().expect("its own text"), shape);
            assert!(shape.with_batch(4).is_ok() && shape.reduced().with_batch(1).is_ok());
        }
        for wrong in [
            "",
            "8",
            "8x196x768",
            "8x196x768x12x1",
            "8x196x768x",
            "ax1x4x1",
            "8x196x768x0",
            "8x196x770x12",
            "0x1x4x1",
            "8x-1x4x1",
        ] {
            assert!(wrong.parse::<BenchShape>().is_err(), "{wrong:?} passed");
        }
    }
}

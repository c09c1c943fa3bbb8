//! Problem sizes, checked once.
//!
//! `B` batch, `H` heads, `F` frames, `S` patches a frame, `D` head size; `N = F*S` tokens in frame-major order
//! (`n = f*S + s`) and `C = H*D` channels. Once a [`Shape`] exists, all of these, and what one sequence of them takes, fit in
//! 32 bits. How long a softmax may be depends on the head size too, and is checked when a dispatch is planned.

use crate::error::{Error, Result};

/// Most loop iterations of an invocation on drivers that limit them: Mesa's software driver before version 25.0 counts those of all loops
/// together, nested ones too, and silently ends every loop after 65,535. A sixteenth is left for iterations that compilers add.
pub const MAX_LOOP: u32 = 61_440;
/// Largest head size `D` of queries and keys.
pub const MAX_HEAD_SIZE: u32 = 256;
/// Most elements of a value that one dispatch of an attention kernel takes; operations cut longer ones into parts.
pub const MAX_VALUE_SIZE: u32 = 128;
/// Most candidates of prototypes, and most centres: their indices must be exact as float32.
pub const MAX_CANDIDATES: u32 = 1 << 24;
/// Fewest keys that the attention kernel stages in workgroup memory at a time.
pub const MIN_KEYS_PER_TILE: u32 = 8;

/// Sizes of a trajectory attention problem, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    batch: u32,
    heads: u32,
    frames: u32,
    patches: u32,
    head_size: u32,
}

impl Shape {
    /// Checks the sizes `[B, H, F, S, D]`.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`] (`D` above [`MAX_HEAD_SIZE`], `F` or `C` above [`MAX_LOOP`], `H*F` above 64 times that) and [`Error::SizeOverflow`] (`(1 + N) * 3C` elements of one packed sequence, `N * F` and `F * C`
    /// must each fit in 32 bits).
    pub fn new(batch: usize, heads: usize, frames: usize, patches: usize, head_size: usize) -> Result<Self> {
        let shape = Self {
            batch: at_least_one("batch", batch)?,
            heads: at_least_one("heads", heads)?,
            frames: at_least_one("frames", frames)?,
            patches: at_least_one("patches a frame", patches)?,
            head_size: at_least_one("head size", head_size)?,
        };
        at_most("head size", shape.head_size.into(), MAX_HEAD_SIZE)?;
        at_most("frames", shape.frames.into(), MAX_LOOP)?;
        at_most("channels (heads x head size)", u64::from(shape.heads) * u64::from(shape.head_size), MAX_LOOP)?;
        at_most("heads x frames", u64::from(shape.heads) * u64::from(shape.frames), 64 * MAX_LOOP)?;
        let tokens = u64::from(shape.frames) * u64::from(shape.patches);
        let packed = product("elements of one packed sequence", &[tokens + 1, 3 * u64::from(shape.channels())])?;
        fits_u32("elements of one packed sequence", packed)?;
        let weights = product("temporal weights of one head", &[tokens, shape.frames.into()])?;
        fits_u32("temporal weights of one head", weights)?;
        let trajectories = product("elements of one query's trajectory", &[shape.frames.into(), shape.channels().into()])?;
        fits_u32("elements of one query's trajectory", trajectories)?;
        Ok(shape)
    }

    /// `B`: sequences in the batch.
    pub fn batch(&self) -> u32 {
        self.batch
    }
    /// `H`: attention heads.
    pub fn heads(&self) -> u32 {
        self.heads
    }
    /// `F`: frames, the segments of the keys.
    pub fn frames(&self) -> u32 {
        self.frames
    }
    /// `S`: patches in one frame.
    pub fn patches(&self) -> u32 {
        self.patches
    }
    /// `D`: elements of one head of one token.
    pub fn head_size(&self) -> u32 {
        self.head_size
    }
    /// `N = F*S`: tokens of one sequence, without a class token.
    pub fn tokens(&self) -> u32 {
        self.frames * self.patches
    }
    /// `C = H*D`: elements of one token.
    pub fn channels(&self) -> u32 {
        self.heads * self.head_size
    }
    /// The softmax scale `1 / sqrt D`.
    pub fn scale(&self) -> f32 {
        scale_of(self.head_size.into())
    }
}

/// Product of `factors`.
///
/// # Errors
/// [`Error::SizeOverflow`] naming `what`.
pub fn product(what: &str, factors: &[u64]) -> Result<u64> {
    factors.iter().try_fold(1u64, |total, &factor| total.checked_mul(factor)).ok_or_else(|| overflow(what, factors, 64))
}

/// `value` as the 32-bit integer that shaders index with.
///
/// # Errors
/// [`Error::SizeOverflow`] naming `what`.
pub fn fits_u32(what: &str, value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| overflow(what, &[value], 32))
}

/// `value`, if it is at most `most`.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn at_most(what: &'static str, value: u64, most: u32) -> Result<u64> {
    if value > u64::from(most) {
        return Err(Error::TooLarge { what, given: value, most: most.into() });
    }
    Ok(value)
}

/// Checks sizes: each has its name and the most that it may be.
///
/// # Errors
/// [`Error::ZeroSize`] for the first that is zero, [`Error::TooLarge`] for one above what it may be.
pub fn in_range(sizes: &[(&'static str, u32, u32)]) -> Result<()> {
    for &(what, size, most) in sizes {
        if size == 0 {
            return Err(Error::ZeroSize { what });
        }
        at_most(what, size.into(), most)?;
    }
    Ok(())
}

/// `given / divisor`, if that is a positive integer.
///
/// # Errors
/// [`Error::ZeroSize`] and [`Error::DoesNotDivide`].
pub fn divided(what: &'static str, given: u32, divisor_name: &'static str, divisor: u32) -> Result<u32> {
    match given.checked_rem(divisor) {
        None => Err(Error::ZeroSize { what: divisor_name }),
        Some(0) if given > 0 => Ok(given / divisor),
        Some(0) => Err(Error::ZeroSize { what }),
        Some(_) => Err(Error::DoesNotDivide { what, given: given.into(), divisor_name, divisor: divisor.into() }),
    }
}

fn at_least_one(what: &'static str, value: usize) -> Result<u32> {
    if value == 0 {
        return Err(Error::ZeroSize { what });
    }
    fits_u32(what, value as u64)
}

fn overflow(what: &str, factors: &[u64], bits: u32) -> Error {
    Error::SizeOverflow { what: what.to_owned(), factors: factors.to_vec(), bits }
}

/// Factor on scores of heads of this size: `1 / sqrt D`.
pub fn scale_of(head_size: u64) -> f32 {
    (1.0 / (head_size as f64).sqrt()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked_once() {
        let shape = Shape::new(2, 12, 8, 196, 64).expect("the published shape");
        assert_eq!((shape.tokens(), shape.channels(), shape.scale()), (1568, 768, 0.125));
        assert!(matches!(Shape::new(0, 1, 1, 1, 4), Err(Error::ZeroSize { what: "batch" })));
        assert!(matches!(Shape::new(1, 1, 0, 1, 4), Err(Error::ZeroSize { what: "frames" })));
        assert!(matches!(Shape::new(1, 1, 1, 1, 257), Err(Error::TooLarge { given: 257, most: 256, .. })));
        assert!(matches!(Shape::new(1, 1, 65_536, 1, 4), Err(Error::TooLarge { .. })));
        assert!(matches!(Shape::new(1, 1, 60_000, 60_000, 4), Err(Error::SizeOverflow { bits: 32, .. })));
        assert!(matches!(Shape::new(1, 470, 300, 1000, 128), Err(Error::SizeOverflow { bits: 32, .. })));
        assert!(matches!(Shape::new(usize::MAX, 1, 1, 1, 4), Err(Error::SizeOverflow { bits: 32, .. })));
    }
}

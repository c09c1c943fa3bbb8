//! Taking a pickle's bytes one after another.

use super::super::archive::Sound;

/// The part of a pickle that is still to be read.
pub(super) struct Input<'p> {
    rest: &'p [u8],
    length: usize,
}

impl<'p> Input<'p> {
    pub fn new(pickle: &'p [u8]) -> Self {
        Self { rest: pickle, length: pickle.len() }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.length - self.rest.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Sound<&'p [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.too_short(count as u64))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const BYTES: usize>(&mut self) -> Sound<[u8; BYTES]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.too_short(BYTES as u64))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn byte(&mut self) -> Sound<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Sound<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Sound<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn i32(&mut self) -> Sound<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Sound<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Floats alone are big-endian.
    pub fn f64(&mut self) -> Sound<f64> {
        self.array().map(f64::from_be_bytes)
    }

    /// Bytes of a length that the pickle claims.
    pub fn claimed(&mut self, length: u64) -> Sound<&'p [u8]> {
        let count = usize::try_from(length).map_err(|_| self.too_short(length))?;
        self.take(count)
    }

    pub fn text(&mut self, length: u64) -> Sound<&'p str> {
        let at = self.position();
        str::from_utf8(self.claimed(length)?)
            .map_err(|error| format!("its pickle has text at byte {at} that is not UTF-8: {error}"))
    }

    /// Text up to the end of the line.
    pub fn line(&mut self) -> Sound<&'p str> {
        let length = self.rest.iter().position(|byte| *byte == b'\n').ok_or("its pickle ends within a name")?;
        let line = self.text(length as u64)?;
        self.take(1)?;
        Ok(line)
    }

    fn too_short(&self, wanted: u64) -> String {
        let (at, left) = (self.position(), self.rest.len());
        format!("its pickle is cut short or damaged: {wanted} bytes are needed at byte {at}, {left} are left")
    }
}

//! Digests of contents: the same for the same contents, on every machine.

use std::fs::File;
use std::io::{Result as IoResult, Write};
use std::path::Path;

use orthoformer::{Error, Result};
use twox_hash::XxHash3_128;

/// A digest of parts, each of which ends with its length: `ab`, `c` is not `a`, `bc`.
pub(crate) struct Digest(XxHash3_128);

impl Digest {
    pub fn new() -> Self {
        Self(XxHash3_128::new())
    }

    /// Takes in a part.
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        self.0.write(part.as_ref());
        self.end(part.as_ref().len() as u64);
    }

    /// Takes in what a file holds, as a part.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let mut file = File::open(path).map_err(Error::file("read", path))?;
        let length = std::io::copy(&mut file, &mut Sink(&mut self.0)).map_err(Error::file("read", path))?;
        self.end(length);
        Ok(())
    }

    fn end(&mut self, length: u64) {
        self.0.write(&length.to_le_bytes());
    }

    /// 32 hexadecimal digits.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.0.finish_128())
    }
}

struct Sink<'d>(&'d mut XxHash3_128);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart_and_files_are_parts() {
        let of = |parts: &[&str]| {
            let mut digest = Digest::new();
            parts.iter().for_each(|part| digest.add(part));
            digest.hex()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "ab").expect("written");
        let mut digest = Digest::new();
        digest.add_file(&path).expect("reads");
        digest.add("c");
        assert_eq!(digest.hex(), of(&["ab", "c"]));
        assert!(Digest::new().add_file(&folder.path().join("none")).is_err());
    }
}

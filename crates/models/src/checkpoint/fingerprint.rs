//! A checkpoint's fingerprint.

use orthoformer::Result;

use super::Checkpoint;
use crate::digest::Digest;

impl Checkpoint {
    /// Fingerprint of all tensors, their names, types and sizes: 32 hexadecimal digits, the same for the same tensors in another file.
    ///
    /// # Errors
    /// [`orthoformer::Error::Contents`] for a tensor that is not within the file.
    pub fn fingerprint(&self) -> Result<String> {
        let mut digest = Digest::new();
        for (name, info) in self.tensors() {
            digest.add(name);
            digest.add(format!("{} {:?}", info.element, info.shape));
            digest.add(self.gather(name, info)?);
        }
        Ok(digest.hex())
    }
}

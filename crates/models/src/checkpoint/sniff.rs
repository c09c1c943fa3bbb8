//! What kind of file it is.

use super::archive::{Sound, short};
use super::safe;

/// The kinds of files that are read.
pub(super) enum Format {
    PyTorch,
    SafeTensors,
}

/// The number that files of `torch.save` begin with that are no zip archives, pickled.
const LEGACY: [u8; 12] = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Tells by a file's first bytes what it is.
pub(super) fn format(file: &[u8]) -> Sound<Format> {
    if file.starts_with(b"PK\x03\x04") {
        return Ok(Format::PyTorch);
    }
    if safe::is_likely(file) {
        return Ok(Format::SafeTensors);
    }
    let what = match file {
        [] => "an empty file".to_owned(),
        [0x80, 2..=5, rest @ ..] if rest.starts_with(&LEGACY) => {
            "a checkpoint in the form from before PyTorch 1.6; load it with PyTorch and save it again with torch.save".to_owned()
        }
        [0x80, 2..=5, ..] => "a bare pickle, without the archive that torch.save puts around it".to_owned(),
        _ if file.trim_ascii_start().starts_with(b"<") => "a web page; was it downloaded in place of the checkpoint?".to_owned(),
        _ if file.starts_with(b"version https://git-lfs") => {
            "a pointer of Git LFS; fetch the file itself with git lfs pull".to_owned()
        }
        _ => {
            let start = String::from_utf8_lossy(file.get(..16).unwrap_or(file));
            format!("neither a zip archive of torch.save nor a safetensors file; it begins with {:?}", short(&start))
        }
    };
    Err(format!("no checkpoint that can be read: {what}"))
}

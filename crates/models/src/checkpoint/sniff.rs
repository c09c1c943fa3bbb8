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

/// Other files by their first bytes, from the offset given.
const OTHERS: [(usize, &[u8], &str); 19] = [
    (0, b"GGUF", "a GGUF file, as llama.cpp reads"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as TensorFlow and Keras save weights"),
    (4, b"TFL3", "a model of TensorFlow Lite"),
    (0, b"\x93NUMPY", "an array of NumPy"),
    (0, b"ftrt", "an engine of TensorRT"),
    (0, b"\x1f\x8b", "packed with gzip; unpack it first"),
    (0, b"BZh", "packed with bzip2; unpack it first"),
    (0, b"\xfd7zXZ\0", "packed with xz; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (0, b"Rar!", "a RAR archive; unpack it first"),
    (257, b"ustar", "a tar archive; unpack it first"),
    (4, b"ftyp", "a clip, not a checkpoint"),
    (0, b"\x1a\x45\xdf\xa3", "a clip, not a checkpoint"),
    (0, b"RIFF", "a clip or a picture, not a checkpoint"),
    (0, b"\x89PNG", "a picture, not a checkpoint"),
    (0, b"\xff\xd8\xff", "a picture, not a checkpoint"),
    (0, b"%PDF", "a PDF document"),
    (0, b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself with git lfs pull"),
];

/// Tells by a file's first bytes what it is.
pub(super) fn format(file: &[u8]) -> Sound<Format> {
    if file.starts_with(b"PK\x03\x04") {
        return Ok(Format::PyTorch);
    }
    if safe::is_likely(file) {
        return Ok(Format::SafeTensors);
    }
    let known = OTHERS.iter().find(|(offset, magic, _)| file.get(*offset..).is_some_and(|rest| rest.starts_with(magic)));
    let text = file.trim_ascii_start();
    let what = match file {
        [] => "an empty file".to_owned(),
        _ if known.is_some() => known.map_or("", |(_, _, what)| *what).to_owned(),
        [0x80, 2..=5, rest @ ..] if rest.starts_with(&LEGACY) => {
            "a checkpoint in the form from before PyTorch 1.6; load it with PyTorch and save it again with torch.save".to_owned()
        }
        [0x80, 2..=5, ..] => "a bare pickle, without the archive that torch.save puts around it".to_owned(),
        _ if is_onnx(file) => "a model in ONNX".to_owned(),
        _ if text.starts_with(b"<") => "a web page; was it downloaded in place of the checkpoint?".to_owned(),
        _ if text.starts_with(b"{") => "a text in JSON; the tensors are in another file".to_owned(),
        _ => {
            let start = String::from_utf8_lossy(file.get(..16).unwrap_or(file));
            format!("neither a zip archive of torch.save nor a safetensors file; it begins with {:?}", short(&start))
        }
    };
    Err(format!("no checkpoint that can be read: {what}"))
}

/// Whether a file begins like one of ONNX: a message whose first field is the version, and whose second is who wrote it.
fn is_onnx(file: &[u8]) -> bool {
    matches!(file, [0x08, 1..=20, 0x12, length, rest @ ..]
        if rest.get(..usize::from(*length)).is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic)))
}

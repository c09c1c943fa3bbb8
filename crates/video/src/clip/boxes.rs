//! A look through the boxes of an MP4 before it is parsed: the parser believes what they say, and allocates it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use orthoformer::{Error, Result};

use super::contents;

/// Most pictures of a clip: ten hours at 30 a second. A sample table of more is expanded in memory before anyone looks at it.
const MOST_PICTURES: u64 = 1 << 20;
/// Longest a box nests in files that make sense; deeper ones are hostile.
const MAX_DEPTH: u32 = 8;

/// Most boxes that make sense, each counted a few times: those of fragments of a second for many hours.
const MOST_SEEKS: u64 = 1 << 22;

/// What was found.
#[derive(Default)]
pub(super) struct Boxes {
    /// Samples that are declared in all.
    declared: u64,
    /// Why the file is not for the parser, if it is not.
    pub nonsense: Option<String>,
}

/// Looks through a file, and leaves it at its beginning.
///
/// # Errors
/// [`Error::File`], and [`Error::Contents`] for more samples than there can be: one takes at least a byte.
pub(super) fn look_through(path: &Path, file: &mut File, length: u64) -> Result<Boxes> {
    let mut boxes = Boxes::default();
    let looked = boxes.look(file, 0..length, 0);
    looked.and_then(|()| file.rewind()).map_err(Error::file("read", path))?;
    // Audio tracks have samples too, of a few milliseconds each.
    let most = length.min(4 * MOST_PICTURES);
    if boxes.declared > most {
        let declared = boxes.declared;
        let reason = format!("damaged MP4: it declares {declared} samples in {length} bytes; at most {most} are read");
        return Err(contents(path, &reason));
    }
    Ok(boxes)
}

/// Where a box lies, and what is in it.
struct Header {
    name: [u8; 4],
    /// `None` if the box reaches beyond what it is in, or is too small to be one.
    body: Option<Range<u64>>,
    /// Whether the box says no size, which means all that is left.
    is_open: bool,
    /// The first words of the body, or zeros.
    words: [u64; 3],
}

impl Header {
    fn read(file: &mut File, range: &Range<u64>) -> std::io::Result<Self> {
        let bytes = read_at(file, range.start, 28)?;
        let word = |at: usize| bytes.get(at..at + 4).map_or(0, |bytes| bytes.iter().fold(0u64, |n, &b| n << 8 | u64::from(b)));
        let (size, skip) = match word(0) {
            0 => (range.end - range.start, 8),
            1 => (word(8) << 32 | word(12), 16),
            size => (size, 8),
        };
        let name = bytes.get(4..8).and_then(|name| name.try_into().ok()).unwrap_or_default();
        let end = range.start.checked_add(size).filter(|&end| size >= skip && end <= range.end);
        let words = [0, 4, 8].map(|at| word(skip as usize + at));
        Ok(Self { name, body: end.map(|end| range.start + skip..end), is_open: word(0) == 0, words })
    }
}

impl Boxes {
    /// Looks at the boxes in a range: adds up the samples that they declare.
    fn look(&mut self, file: &mut File, mut range: Range<u64>, depth: u32) -> std::io::Result<()> {
        while range.end - range.start >= 8 && depth < MAX_DEPTH {
            let Header { name, body, words, .. } = Header::read(file, &range)?;
            let is_container = matches!(&name, b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" | b"udta" | b"moof" | b"traf");
            let Some(body) = body else {
                // A file that is cut off in its pictures is one whose first pictures may be wanted.
                if depth > 0 || is_container {
                    self.complain(name, "reaches beyond what it is in");
                }
                return Ok(());
            };
            range.start = body.end;
            match &name {
                _ if is_container => self.look(file, body, depth + 1)?,
                b"meta" => self.look_at_metadata(file, body, words[0])?,
                b"stsz" => self.declared = self.declared.saturating_add(words[2]),
                b"trun" => self.declared = self.declared.saturating_add(words[1]),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is in a `meta` box has to fill it: the parser checks none of it, and never gets past a box of size 0.
    fn look_at_metadata(&mut self, file: &mut File, body: Range<u64>, version: u64) -> std::io::Result<()> {
        // Some writers leave out the version, and begin with the first box.
        let mut range = if version == 0 { body.start + 4..body.end } else { body };
        while range.start < range.end {
            let Header { body: Some(body), is_open: false, .. } = Header::read(file, &range)? else {
                self.complain(*b"meta", "holds a box that does not fit into it");
                return Ok(());
            };
            range.start = body.end;
        }
        Ok(())
    }

    fn complain(&mut self, name: [u8; 4], what: &str) {
        self.nonsense.get_or_insert_with(|| format!("its box \"{}\" {what}", name.escape_ascii()));
    }
}

/// A reader that goes to other places only so often: the parser stays forever at some boxes that are too small to be one.
pub(super) struct FewSeeks<R> {
    reader: R,
    left: u64,
}

impl<R> FewSeeks<R> {
    /// For a file of so many bytes. A box takes at least 8, and the parser goes on from each of them, or back into it, a few times.
    pub fn new(reader: R, length: u64) -> Self {
        Self { reader, left: length.min(MOST_SEEKS) }
    }
}

impl<R: Read> Read for FewSeeks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl<R: Seek> Seek for FewSeeks<R> {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.left = self.left.checked_sub(1).ok_or_else(|| std::io::Error::other("its boxes lead nowhere"))?;
        self.reader.seek(position)
    }

    fn stream_position(&mut self) -> std::io::Result<u64> {
        self.reader.stream_position()
    }
}

/// Up to `count` bytes at a position; fewer at the end of the file.
fn read_at(file: &mut File, position: u64, count: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(position))?;
    file.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a clip in which the box of this name says another size.
    fn nonsense(name: &[u8], size: &[u8]) -> Option<String> {
        let mut bytes = include_bytes!("../../../../tests/clips/baseline.mp4").to_vec();
        let start = bytes.windows(4).position(|word| word == name).expect("has that box") - 4;
        bytes[start..start + size.len()].copy_from_slice(size);
        let mut file = tempfile::tempfile().expect("a place to write");
        std::io::Write::write_all(&mut file, &bytes).expect("writable");
        look_through(Path::new("CLIP"), &mut file, bytes.len() as u64).expect("few samples").nonsense
    }

    #[test]
    fn boxes_have_to_fit_into_each_other() {
        assert_eq!(nonsense(b"ilst", &[]), None);
        let long = [&1u32.to_be_bytes()[..], b"free", &(1u64 << 50).to_be_bytes()].concat();
        for size in [&[0; 4][..], &[0x69; 4], &[0, 0, 0, 7], &long] {
            let found = nonsense(b"ilst", size);
            assert_eq!(found.as_deref(), Some("its box \"meta\" holds a box that does not fit into it"), "{size:?}");
        }
        let beyond = |name: &str| Some(format!("its box \"{name}\" reaches beyond what it is in"));
        assert_eq!(nonsense(b"trak", &[0x70, 0, 0, 0]), beyond("trak"));
        assert_eq!(nonsense(b"moov", &[0, 1, 0, 0]), beyond("moov"));
        // Pictures that are cut off are another matter.
        assert_eq!(nonsense(b"mdat", &[0, 1, 0, 0]), None);
    }

    #[test]
    fn a_parser_that_goes_in_circles_is_stopped() {
        let mut reader = FewSeeks::new(std::io::Cursor::new([7; 16]), 16);
        for _ in 0..16 {
            reader.seek(SeekFrom::Start(8)).expect("one for each byte");
            assert_eq!(reader.stream_position().expect("not counted"), 8);
        }
        assert_eq!(reader.seek(SeekFrom::Start(0)).expect_err("too many").to_string(), "its boxes lead nowhere");
    }
}

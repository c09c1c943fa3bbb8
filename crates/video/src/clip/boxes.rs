//! Boxes of an MP4: found one after the other where they lie in the file, and read as numbers. Whatever they say is checked before it is believed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};

use super::contents;

/// Most boxes that make sense: those of fragments of a second for many hours.
const MOST_BOXES: u32 = 1 << 22;
/// Longest table that is read, bytes: twelve for each of the most pictures of a clip.
const LONGEST: u64 = 48 << 20;

/// A file of boxes.
pub(super) struct BoxFile {
    file: File,
    path: PathBuf,
    /// Bytes in the file.
    pub length: u64,
    /// Boxes that may still be looked at.
    left: u32,
}

/// A box.
#[derive(Clone, Debug)]
pub(super) struct BoxAt {
    pub name: [u8; 4],
    /// Where it begins.
    pub start: u64,
    /// What is in it.
    pub body: Range<u64>,
}

impl BoxFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file("read", path))?;
        let length = file.metadata().map_err(Error::file("read", path))?.len();
        Ok(Self { file, path: path.to_owned(), length, left: MOST_BOXES })
    }

    /// The file itself, for what is not boxes.
    pub fn into_file(self) -> File {
        self.file
    }

    /// The next box of a range, which is left with what comes after it.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::Contents`] for a box that reaches beyond what it is in.
    pub fn next(&mut self, range: &mut Range<u64>) -> Result<Option<BoxAt>> {
        self.advance(range, false)
    }

    /// The next box of the rest of the file, which may end inside of its pictures.
    ///
    /// # Errors
    /// Those of [`BoxFile::next`].
    pub fn next_of_file(&mut self, range: &mut Range<u64>) -> Result<Option<BoxAt>> {
        self.advance(range, true)
    }

    fn advance(&mut self, range: &mut Range<u64>, may_end: bool) -> Result<Option<BoxAt>> {
        if range.end.saturating_sub(range.start) < 8 {
            return Ok(None);
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| self.damaged(&format!("more than {MOST_BOXES} boxes")))?;
        let head = self.bytes(range.start..range.end.min(range.start + 16))?;
        let mut words = Words(&head);
        let (size, name) = (u64::from(words.u32().unwrap_or(0)), words.take().unwrap_or_default());
        let (size, head_size) = match size {
            0 => (range.end - range.start, 8),
            1 => (words.u64().unwrap_or(0), 16),
            size => (size, 8),
        };
        let end = range.start.checked_add(size).filter(|&end| size >= head_size && end <= range.end);
        let Some(end) = end else {
            // A file that is cut off in its pictures is one whose first pictures may be wanted.
            if may_end && !matches!(&name, b"moov" | b"moof") {
                return Ok(None);
            }
            return Err(self.damaged(&format!("its box \"{}\" reaches beyond what it is in", name.escape_ascii())));
        };
        let found = BoxAt { name, start: range.start, body: range.start + head_size..end };
        range.start = end;
        Ok(Some(found))
    }

    /// The first box of a name in a range.
    ///
    /// # Errors
    /// Those of [`BoxFile::next`].
    pub fn find(&mut self, range: &Range<u64>, name: &[u8; 4]) -> Result<Option<BoxAt>> {
        let mut range = range.clone();
        while let Some(found) = self.next(&mut range)? {
            if found.name == *name {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What is in a box.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::Contents`] for one that is longer than any that makes sense.
    pub fn read(&mut self, found: &BoxAt) -> Result<Vec<u8>> {
        if found.body.end - found.body.start > LONGEST {
            return Err(self.damaged(&format!("its box \"{}\" is longer than {LONGEST} bytes", found.name.escape_ascii())));
        }
        self.bytes(found.body.clone())
    }

    /// The rows of a table `[count, N]` of 32-bit numbers, behind version and flags, and the version.
    ///
    /// # Errors
    /// Those of [`BoxFile::read`], and [`Error::Contents`] for a table that is shorter than it says.
    pub fn table<const N: usize>(&mut self, found: &BoxAt) -> Result<(u8, Vec<[u32; N]>)> {
        let bytes = self.read(found)?;
        let mut words = Words(&bytes);
        let read = words.version().zip(words.u32());
        let rows = read.and_then(|((version, _), count)| Some((version, words.rows(count)?)));
        rows.ok_or_else(|| self.short(found))
    }

    /// The error for a box that ends too early.
    pub fn short(&self, found: &BoxAt) -> Error {
        self.damaged(&format!("its box \"{}\" is shorter than it says", found.name.escape_ascii()))
    }

    /// The error for a file that makes no sense.
    pub fn damaged(&self, why: &str) -> Error {
        contents(&self.path, &format!("damaged or truncated MP4 ({} bytes): {why}", self.length))
    }

    /// The bytes of a range; fewer at the end of the file.
    pub fn bytes(&mut self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.file.seek(SeekFrom::Start(range.start)).and_then(|_| {
            let count = range.end.saturating_sub(range.start);
            (&self.file).take(count).read_to_end(&mut bytes)
        });
        read.map_err(Error::file("read", &self.path))?;
        Ok(bytes)
    }
}

/// Numbers, the most significant byte first; `None` once they are used up.
pub(super) struct Words<'b>(pub &'b [u8]);

impl Words<'_> {
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_be_bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// A box's version and flags.
    pub fn version(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some(((word >> 24) as u8, word & 0xff_ffff))
    }

    /// A number that has 64 bits from version 1 on.
    pub fn long(&mut self, version: u8) -> Option<u64> {
        if version == 0 { self.u32().map(u64::from) } else { self.u64() }
    }

    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    /// So many rows of 32-bit numbers.
    pub fn rows<const N: usize>(&mut self, count: u32) -> Option<Vec<[u32; N]>> {
        // What is there bounds what is allocated.
        if (self.0.len() / (4 * N)) < count as usize {
            return None;
        }
        (0..count).map(|_| self.row()).collect()
    }

    /// So many 32-bit numbers.
    pub fn row<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut row = [0; N];
        for value in &mut row {
            *value = self.u32()?;
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> BoxFile {
        let mut file = tempfile::tempfile().expect("a place to write");
        std::io::Write::write_all(&mut file, bytes).expect("writable");
        BoxFile { file, path: "CLIP".into(), length: bytes.len() as u64, left: MOST_BOXES }
    }

    /// The names of the boxes in these bytes.
    fn names(bytes: &[u8]) -> Result<Vec<[u8; 4]>> {
        let (mut file, mut range) = (file(bytes), 0..bytes.len() as u64);
        std::iter::from_fn(|| file.next_of_file(&mut range).transpose()).map(|found| Ok(found?.name)).collect()
    }

    #[test]
    fn boxes_have_to_fit_into_each_other() {
        let long = [&[0, 0, 0, 1][..], b"free", &[0, 0, 0, 0, 0, 0, 0, 17, 9]].concat();
        let good = [&[0, 0, 0, 9][..], b"ftyp", &[7], &long, &[0; 4], b"mdat", &[1; 5]].concat();
        assert_eq!(names(&good).expect("three boxes"), [*b"ftyp", *b"free", *b"mdat"]);
        let sized = |size: u32, name: &[u8; 4]| [&size.to_be_bytes()[..], name, &[0; 8]].concat();
        let beyond =
            |name: &str| format!("CLIP: damaged or truncated MP4 (16 bytes): its box \"{name}\" reaches beyond what it is in");
        for size in [17, 7, 2, 1, u32::MAX] {
            let error = names(&sized(size, b"moov")).expect_err("does not fit").to_string();
            assert_eq!(error, beyond("moov"), "{size}");
        }
        // Pictures that are cut off are another matter.
        assert_eq!(names(&sized(99, b"mdat")).expect("cut off"), [[0; 4]; 0]);
    }

    #[test]
    fn tables_are_no_longer_than_their_boxes() {
        let table = |count: u32| {
            let bytes = [&[0, 0, 0, 32][..], b"stts", &[1, 0, 0, 0], &count.to_be_bytes(), &[1; 16]].concat();
            let mut file = file(&bytes);
            let found = file.next(&mut (0..32)).expect("fits").expect("a box");
            file.table::<2>(&found)
        };
        assert_eq!(table(2).expect("as long as it says"), (1, vec![[0x0101_0101; 2]; 2]));
        for count in [3, u32::MAX] {
            assert!(table(count).expect_err("too long").to_string().contains("its box \"stts\" is shorter than it says"));
        }
    }

    #[test]
    fn files_of_too_many_boxes_are_refused() {
        let mut file = file(&[0, 0, 0, 8, 0, 0, 0, 0]);
        file.left = 1;
        assert!(file.next(&mut (0..8)).is_ok());
        assert!(file.next(&mut (0..8)).expect_err("one too many").to_string().contains("more than 4194304 boxes"));
    }
}

//! The bytes of a checkpoint: mapped from a file, or in memory.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use orthoformer::{Error, Result};

/// The bytes of a checkpoint.
pub(super) enum Source {
    Mapped(Mmap),
    Memory(Vec<u8>),
}

impl Source {
    /// Maps a file into memory. Pipes, folders and the like are refused before they are opened, as opening could wait forever.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::file("read", path))?;
        if !kind.is_file() {
            let found = if kind.is_dir() { "a folder" } else { "not a regular file" };
            let reason = format!("{found}; a checkpoint is one file");
            return Err(Error::Contents { path: path.to_owned(), reason });
        }
        let file = File::open(path).map_err(Error::file("read", path))?;
        // Some systems refuse to map nothing.
        if kind.len() == 0 {
            return Ok(Self::Memory(Vec::new()));
        }
        map(&file).map(Self::Mapped).map_err(Error::file("map into memory", path))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}

fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: The map is read-only, and its length is the file's when it is made; slices of it are checked against that length. What is assumed is
    // that nobody changes the file while it is mapped: numbers might then change between two looks at them, and a file cut short ends
    // the program with SIGBUS. Text that is kept is copied out, so that nothing relies on bytes of the map being UTF-8 later on. Files
    // that this crate replaces are new ones of the same name, which leave the mapped one as it was.
    unsafe { Mmap::map(file) }
}

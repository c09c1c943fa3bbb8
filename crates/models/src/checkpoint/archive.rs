//! The zip archive that `torch.save` writes: entries are stored as they are, and read in place.

use std::io::Cursor;
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

/// What a function returns that does not know the file's name: on failure what is wrong with the file.
pub(super) type Sound<T> = std::result::Result<T, String>;

/// An archive with one checkpoint in it.
pub(super) struct Archive<'f> {
    file: &'f [u8],
    zip: ZipArchive<Cursor<&'f [u8]>>,
    /// What the names of all entries begin with, up to and including the slash.
    prefix: String,
}

impl<'f> Archive<'f> {
    pub fn new(file: &'f [u8]) -> Sound<Self> {
        let zip = ZipArchive::new(Cursor::new(file))
            .map_err(|error| format!("a zip archive that cannot be read ({} bytes; cut short?): {error}", file.len()))?;
        if zip.has_duplicate_names() {
            return Err("a zip archive with several entries of the same name".to_owned());
        }
        let pickles: Vec<&str> = zip
            .file_names_raw()
            .filter_map(|name| str::from_utf8(name).ok()?.strip_suffix("data.pkl"))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('/'))
            .collect();
        let prefix = match pickles[..] {
            [prefix] => prefix.to_owned(),
            [] => return Err(other_archive(&zip)),
            _ => return Err(format!("a zip archive with {} entries data.pkl; a checkpoint has one", pickles.len())),
        };
        let mut archive = Self { file, zip, prefix };
        if let Some(order) = archive.find("byteorder")?.and_then(|range| file.get(range))
            && order.trim_ascii() != b"little"
        {
            let order = String::from_utf8_lossy(order.get(..16).unwrap_or(order));
            return Err(format!("its byte order is {order:?}; only \"little\" is read"));
        }
        Ok(archive)
    }

    pub fn pickle(&mut self) -> Sound<&'f [u8]> {
        let range = self.find("data.pkl")?.ok_or("it has no entry data.pkl")?;
        self.file.get(range).ok_or_else(|| "its data.pkl reaches beyond the file".to_owned())
    }

    /// Where the bytes of a storage are.
    pub fn storage(&mut self, key: &str) -> Sound<Range<usize>> {
        self.find(&format!("data/{key}"))?.ok_or_else(|| format!("its storage {:?} has no entry in the archive", short(key)))
    }

    /// Where an entry's bytes are, if there is such an entry.
    fn find(&mut self, name: &str) -> Sound<Option<Range<usize>>> {
        let name = format!("{}{name}", self.prefix);
        let Some(index) = self.zip.index_for_name_raw(name.as_bytes()) else { return Ok(None) };
        let name = short(&name);
        let entry = self.zip.by_index_raw(index).map_err(|error| format!("its entry {name:?} cannot be read: {error}"))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!("its entry {name:?} is compressed ({}); only stored entries are read", entry.compression()));
        }
        if entry.encrypted() {
            return Err(format!("its entry {name:?} is encrypted"));
        }
        let range = entry.data_start().and_then(|start| {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(entry.size()).ok()?)?;
            (end <= self.file.len() && entry.size() == entry.compressed_size()).then_some(start..end)
        });
        range.map(Some).ok_or_else(|| format!("its entry {name:?} of {} bytes reaches beyond the file", entry.size()))
    }
}

/// What an archive is that `torch.save` did not write.
fn other_archive(zip: &ZipArchive<Cursor<&[u8]>>) -> String {
    let has = |end: &str| zip.file_names_raw().any(|name| name.ends_with(end.as_bytes()));
    let what = [
        (".npy", "arrays of NumPy (.npz)"),
        ("model.weights.h5", "a model of Keras"),
        (".mlmodel", "a model of Core ML"),
        ("[Content_Types].xml", "a document"),
        ("AndroidManifest.xml", "a program for Android"),
    ];
    match what.into_iter().find(|(end, _)| has(end)) {
        Some((_, what)) => format!("{what}; checkpoints of PyTorch and safetensors files are read"),
        None => "a zip archive without data.pkl, so not one that torch.save wrote".to_owned(),
    }
}

/// The beginning of a text, for messages.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

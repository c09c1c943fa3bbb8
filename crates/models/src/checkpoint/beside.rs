//! The texts that libraries save beside a checkpoint's tensors.

use std::collections::BTreeMap;
use std::path::Path;

use super::archive::Sound;

/// The file that describes a checkpoint's network.
pub(crate) const DESCRIPTION: &str = "config.json";
/// The files that say how frames are made ready for it, in the order in which transformers takes them.
pub(crate) const PROCESSORS: [&str; 3] = ["processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json"];
/// No such text is so long, bytes.
const LONGEST: u64 = 1 << 20;

/// What lies beside a checkpoint, or was kept in it: texts by the names of their files, or why one cannot be read. Whether one is needed is known to
/// those who ask for it: the files may belong to something else.
#[derive(Default)]
pub(super) struct Beside(BTreeMap<&'static str, Sound<String>>);

impl Beside {
    /// The texts beside a file.
    pub fn of(path: &Path) -> Self {
        let names = [DESCRIPTION].into_iter().chain(PROCESSORS);
        let texts = names.map(|name| (name, path.with_file_name(name))).filter(|(_, path)| path.is_file());
        Self(texts.map(|(name, path)| (name, read(&path))).collect())
    }

    /// A text of this name: that beside the file, or that which is kept in it.
    pub fn text<'t>(&'t self, name: &str, kept: &'t BTreeMap<String, String>) -> Option<Sound<&'t str>> {
        match self.0.get(name) {
            Some(text) => Some(text.as_deref().map_err(Clone::clone)),
            None => kept.get(name).map(|text| Ok(text.as_str())),
        }
    }

    /// Puts another text in place of what lies beside.
    pub fn put(&mut self, name: &'static str, text: String) {
        self.0.insert(name, Ok(text));
    }
}

fn read(path: &Path) -> Sound<String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > LONGEST {
        return Err(format!("{bytes} bytes are too many for the description of a network ({LONGEST} at most)"));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    // Some editors put a mark of byte order ahead.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

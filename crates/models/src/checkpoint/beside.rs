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

/// What is said of a checkpoint beside its tensors, or why it cannot be read. Whether it is needed is known to those who ask for it: files may belong to
/// something else.
#[derive(Default, PartialEq)]
pub(super) struct Beside {
    pub description: Option<Sound<String>>,
    /// How frames are made ready, and the name of the file that says it.
    pub processor: Option<(&'static str, Sound<String>)>,
}

impl Beside {
    /// What is kept in a file, by the names of its metadata.
    pub fn kept(metadata: &BTreeMap<String, String>) -> Self {
        Self::found(|name| metadata.get(name).cloned().map(Ok))
    }

    /// What is kept in a file counts more than what lies beside it; a note says what is passed over for it.
    pub fn of(path: &Path, metadata: &BTreeMap<String, String>, notes: &mut Vec<String>) -> Self {
        let beside = |name| Some(path.with_file_name(name)).filter(|path| path.is_file()).map(|path| read(&path));
        let (kept, beside) = (Self::kept(metadata), Self::found(beside));
        let mut note =
            |name: &str| notes.push(format!("the {name} beside it is passed over: another is kept in the file itself"));
        if kept.description.is_some() && beside.description.is_some() && kept.description != beside.description {
            note(DESCRIPTION);
        }
        if let (Some(own), Some(other)) = (&kept.processor, &beside.processor)
            && own != other
        {
            note(other.0);
        }
        Self { description: kept.description.or(beside.description), processor: kept.processor.or(beside.processor) }
    }

    fn found(text: impl Fn(&'static str) -> Option<Sound<String>>) -> Self {
        // One that cannot be read may be one.
        let is_one =
            |(name, text): &(&str, Sound<String>)| text.as_ref().map_or(true, |text| crate::processor::is_one(name, text));
        let processor = PROCESSORS.into_iter().filter_map(|name| Some((name, text(name)?))).find(is_one);
        Self { description: text(DESCRIPTION), processor }
    }
}

fn read(path: &Path) -> Sound<String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > LONGEST {
        return Err(format!("{bytes} bytes are too many for the description of a network ({LONGEST} at most)"));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(unmarked(&text).to_owned())
}

/// Text without the mark of byte order that some editors put ahead.
pub(super) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

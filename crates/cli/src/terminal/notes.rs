//! Notes on clips, each of which is said once, however many clips it is true of.

use std::collections::BTreeMap;

use serde::Serialize;

use super::complain;

/// Clips that are named where a note is true of several.
const NAMED: usize = 3;

/// Notes that were said, with the clips that each is true of.
#[derive(Default)]
pub(crate) struct ClipNotes {
    clips: BTreeMap<String, Vec<String>>,
}

/// A note, as reports have it.
#[derive(Serialize)]
pub(crate) struct ClipNote {
    note: String,
    /// The clips that it is true of.
    clips: Vec<String>,
}

impl ClipNotes {
    /// Says on stderr what people should know about a clip and have not been told of another.
    pub fn say(&mut self, clip: &str, notes: &[String]) {
        for note in notes {
            let clips = self.clips.entry(note.clone()).or_default();
            if clips.is_empty() {
                complain(&format!("note: {clip}: {note}"));
            }
            clips.push(clip.to_owned());
        }
    }

    /// Says of which other clips the notes are true.
    pub fn finish(self) -> Vec<ClipNote> {
        for (note, clips) in self.clips.iter().filter(|(_, clips)| clips.len() > 1) {
            let (count, named) = (clips.len() - 1, clips.iter().skip(1).take(NAMED).cloned().collect::<Vec<_>>());
            let others = if count > NAMED { ", ..." } else { "" };
            complain(&format!("note: the same of {count} more ({}{others}): {note}", named.join(", ")));
        }
        self.clips.into_iter().map(|(note, clips)| ClipNote { note, clips }).collect()
    }
}

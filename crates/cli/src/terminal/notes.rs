//! Notes on clips, each of which is said once, however many clips it is true of.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::complain;

/// Notes that were said, and of how many more clips each is true.
#[derive(Default)]
pub(crate) struct ClipNotes {
    more: BTreeMap<String, usize>,
}

impl ClipNotes {
    /// Says on stderr what people should know about a clip and have not been told of another.
    pub fn say(&mut self, clip: impl Display, notes: &[String]) {
        for note in notes {
            if let Some(more) = self.more.get_mut(note) {
                *more += 1;
            } else {
                self.more.insert(note.clone(), 0);
                complain(&format!("note: {clip}: {note}"));
            }
        }
    }

    /// Says of how many more clips the notes are true.
    pub fn finish(self) {
        for (note, more) in self.more.into_iter().filter(|(_, more)| *more > 0) {
            complain(&format!("note: the same of {more} more: {note}"));
        }
    }
}

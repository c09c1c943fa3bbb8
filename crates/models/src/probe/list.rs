//! Lists of clips with their classes: a folder whose folders are classes, or a table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};
use orthoformer_video::clips_of;

use crate::labels;

/// The columns that a table needs.
const COLUMNS: [&str; 2] = ["clip", "label"];
/// The column that a table may have.
const GROUP: &str = "group";
/// What a list is, for messages.
const FORMS: &str =
    "a list is a folder with a folder of clips for each class, or comma-separated values with the columns clip and label";

/// Clips, and the classes that they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipList {
    /// Names of the classes, sorted.
    pub labels: Vec<String>,
    /// The clips, in the order of the list.
    pub clips: Vec<PathBuf>,
    /// The class of each clip, as an index into `labels`.
    pub classes: Vec<usize>,
    /// The group of each clip, from 0: clips of one recording are one. A clip of which nothing is said is a group of its own.
    pub groups: Vec<usize>,
}

/// A clip of a list.
struct Entry {
    clip: PathBuf,
    label: String,
    group: Option<String>,
}

impl ClipList {
    /// Reads a list. Paths in a table are relative to its folder, and its column `group` names groups. Clips in a folder within that of a class are a group.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Contents`] if it is no list, for a clip that is not there or there twice, and for fewer than two classes.
    pub fn read(path: &Path) -> Result<Self> {
        let entries = if path.is_dir() { of_folder(path)? } else { of_table(path)? };
        Self::of(entries).map_err(Error::contents(path))
    }

    fn of(entries: Vec<Entry>) -> std::result::Result<Self, String> {
        let labels: BTreeSet<String> = entries.iter().map(|entry| entry.label.clone()).collect();
        let labels: Vec<String> = labels.into_iter().collect();
        labels.iter().try_for_each(|label| labels::check(label))?;
        if labels.len() < 2 {
            return Err(format!("all of its clips are of one class, {}; two are needed at least", labels.concat()));
        }
        let mut places: BTreeMap<PathBuf, &Path> = BTreeMap::new();
        for Entry { clip, .. } in &entries {
            let place = std::fs::canonicalize(clip).unwrap_or_else(|_| clip.clone());
            if let Some(other) = places.insert(place, clip) {
                return Err(format!("a clip is in it twice: {} and {}", other.display(), clip.display()));
            }
        }
        // Found, as the labels are those of the clips.
        let class = |label: &String| labels.binary_search(label).unwrap_or_default();
        let classes = entries.iter().map(|entry| class(&entry.label)).collect();
        let groups = numbered(entries.iter().map(|entry| entry.group.as_deref()));
        Ok(Self { classes, groups, clips: entries.into_iter().map(|entry| entry.clip).collect(), labels })
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.iter().collect::<BTreeSet<_>>().len()
    }

    /// Clips of each class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.labels.len()];
        self.classes.iter().for_each(|&class| counts[class] += 1);
        counts
    }
}

/// Numbers for names; each clip without one has a number of its own.
fn numbered<'n>(names: impl Iterator<Item = Option<&'n str>>) -> Vec<usize> {
    let (mut known, mut count) = (BTreeMap::new(), 0);
    let mut next = || {
        count += 1;
        count - 1
    };
    let number = |name: Option<&'n str>| match name {
        Some(name) => *known.entry(name).or_insert_with(&mut next),
        None => next(),
    };
    names.map(number).collect()
}

/// The clips of a folder of folders.
fn of_folder(path: &Path) -> Result<Vec<Entry>> {
    let wrong = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::file("read the folder", path))? {
        let entry = entry.map_err(Error::file("read the folder", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            folders.push((name, entry.path()));
        }
    }
    if folders.is_empty() {
        return Err(wrong(format!("no folders in it; {FORMS}")));
    }
    folders.sort();
    let mut clips = Vec::new();
    for (label, folder) in folders {
        let own = clips_of(std::slice::from_ref(&folder))?;
        if own.contains(&folder) {
            let reason = "pictures, which are one clip; a class is a folder of clips".to_owned();
            return Err(Error::Contents { path: folder, reason });
        }
        let group = |clip: &Path| {
            let mut within = clip.strip_prefix(&folder).ok()?.components();
            let first = within.next()?.as_os_str().to_string_lossy();
            within.next().map(|_| format!("{label}/{first}"))
        };
        clips.extend(own.into_iter().map(|clip| Entry { label: label.clone(), group: group(&clip), clip }));
    }
    let all = clips_of(&[path.to_owned()])?;
    match all.iter().find(|clip| clip.parent() == Some(path) || *clip == path) {
        Some(beside) => Err(wrong(format!("{} is beside the folders of the classes; {FORMS}", beside.display()))),
        None => Ok(clips),
    }
}

/// The clips of a table.
fn of_table(path: &Path) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    let wrong = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.trim(csv::Trim::All).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let headers = reader.headers().map_err(Error::contents(path))?.clone();
    let column = |name: &str| headers.iter().position(|own| own.eq_ignore_ascii_case(name));
    let needed = |name| column(name).ok_or_else(|| wrong(format!("no column {name:?} in its first line; {FORMS}")));
    let (clip, label, group) = (needed(COLUMNS[0])?, needed(COLUMNS[1])?, column(GROUP));
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut clips = Vec::new();
    for record in reader.records() {
        let record = record.map_err(Error::contents(path))?;
        let line = record.position().map_or(0, csv::Position::line);
        let [clip, label] = [clip, label].map(|column| record.get(column).unwrap_or_default());
        let group = group.and_then(|column| record.get(column)).filter(|group| !group.is_empty());
        if clip.is_empty() || label.is_empty() {
            return Err(wrong(format!("line {line}: a clip and a label are needed")));
        }
        let clip = folder.join(clip);
        if !clip.exists() {
            return Err(wrong(format!("line {line}: there is no {}", clip.display())));
        }
        clips.push(Entry { clip, label: label.to_owned(), group: group.map(str::to_owned) });
    }
    if clips.is_empty() { Err(wrong("no clips in it".to_owned())) } else { Ok(clips) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with empty files, which nobody opens.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        folder
    }

    fn error(path: &Path) -> String {
        ClipList::read(path).expect_err("no list").to_string()
    }

    #[test]
    fn folders_are_classes() {
        let folder =
            folder(&["red/10.mp4", "red/9.mp4", "blue/a.mp4", "blue/b/1.png", "blue/b/2.png", ".hidden/x.mp4", "notes.txt"]);
        assert_eq!(ClipList::read(folder.path()).expect("a list").groups, [0, 1, 2, 3]);
        let list = ClipList::read(folder.path()).expect("a list");
        assert_eq!(list.labels, ["blue", "red"]);
        assert_eq!(list.clips, ["blue/a.mp4", "blue/b", "red/9.mp4", "red/10.mp4"].map(|clip| folder.path().join(clip)));
        assert_eq!((list.classes.as_slice(), list.counts()), ([0, 0, 1, 1].as_slice(), vec![2, 2]));
    }

    #[test]
    fn folders_that_are_no_lists_are_refused() {
        for (files, expected) in [
            (&["a.mp4", "b.mp4"][..], "no folders in it"),
            (&["red/a.mp4"], "one class, red"),
            (&["red/a.mp4", "blue/notes.txt"], "blue: the folder has neither"),
            (&["red/a.mp4", "blue/1.png"], "blue: pictures, which are one clip"),
            (&["red/a.mp4", "blue/b.mp4", "c.mp4"], "c.mp4 is beside the folders"),
        ] {
            let folder = folder(files);
            let found = error(folder.path());
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn tables_have_columns_in_any_order() {
        let folder = folder(&["sub/a.mp4", "b.mp4"]);
        let table = folder.path().join("list.csv");
        std::fs::write(&table, "\u{feff}Label, id ,clip\nup,1,b.mp4\n\"down, slowly\",2,sub/a.mp4\n").expect("written");
        let list = ClipList::read(&table).expect("a list");
        assert_eq!((list.group_count(), list.labels.concat()), (2, "down, slowlyup".to_owned()));
        assert_eq!((list.clips, list.classes), (vec![folder.path().join("b.mp4"), folder.path().join("sub/a.mp4")], vec![1, 0]));
    }

    #[test]
    fn clips_of_one_recording_are_a_group() {
        let files = ["red/a/1.mp4", "red/a/b/2.mp4", "red/3.mp4", "blue/a/4.mp4", "blue/c/1.png", "blue/d/c/1.png"];
        let folder = folder(&files);
        let list = ClipList::read(folder.path()).expect("a list");
        let of = |clip: &str| {
            let at = list.clips.iter().position(|own| *own == folder.path().join(clip)).expect("in the list");
            list.groups[at]
        };
        assert_eq!((of("red/a/1.mp4"), list.group_count()), (of("red/a/b/2.mp4"), 5), "{list:?}");
        let table = folder.path().join("list.csv");
        let text = "clip,group,label\nred/a/1.mp4,x,up\nred/3.mp4,,up\nblue/a/4.mp4,x,down\nred/a/b/2.mp4,,down\nblue/c,y,up\n";
        std::fs::write(&table, text).expect("written");
        assert_eq!(ClipList::read(&table).expect("a list").groups, [0, 1, 0, 2, 3]);
    }

    #[test]
    fn tables_that_are_no_lists_are_refused() {
        let folder = folder(&["a.mp4", "b.mp4"]);
        let table = folder.path().join("list.csv");
        for (text, expected) in [
            ("a.mp4,up\n", "no column \"clip\""),
            ("clip,class\na.mp4,up\n", "no column \"label\""),
            ("clip,label\n", "no clips"),
            ("clip,label\na.mp4,up\nc.mp4,down\n", "line 3: there is no "),
            ("clip,label\na.mp4,up\nb.mp4,\n", "line 3: a clip and a label"),
            ("clip,label\na.mp4,up\nb.mp4\n", "line: 3"),
            ("clip,label\na.mp4,up\n./a.mp4,down\n", "twice"),
            ("clip,label\na.mp4,up\nb.mp4,up\n", "one class, up"),
            ("clip,label\na.mp4,u\u{7}p\nb.mp4,up\n", "is no label"),
        ] {
            std::fs::write(&table, text).expect("written");
            let found = error(&table);
            assert!(found.contains(expected), "{found}");
        }
        assert!(error(&folder.path().join("none.csv")).contains("cannot read"));
    }
}

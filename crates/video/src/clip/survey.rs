//! What the boxes of an MP4 say, as far as it is needed to show its pictures.

use std::collections::BTreeMap;
use std::ops::Range;

use orthoformer::Result;

use super::boxes::{BoxAt, BoxFile, Words};
use super::colours::Said;
use super::turn::DisplayMatrix;

/// A file's tracks, and where its fragments lie.
#[derive(Default)]
pub(super) struct Survey {
    /// Units a second that edits are counted in.
    pub timescale: u32,
    /// How the movie as a whole is turned.
    pub matrix: DisplayMatrix,
    /// Tracks of pictures.
    pub tracks: Vec<Track>,
    /// What samples of fragments are like where nothing else is said, by track.
    pub defaults: BTreeMap<u32, SampleDefaults>,
    /// The `moof` boxes.
    pub fragments: Vec<BoxAt>,
}

/// A track of pictures.
#[derive(Default)]
pub(super) struct Track {
    pub id: u32,
    /// Whether it is meant to be shown.
    pub is_enabled: bool,
    pub matrix: DisplayMatrix,
    /// Units a second that pictures are counted in.
    pub timescale: u32,
    pub edits: Vec<Edit>,
    pub descriptions: Vec<Description>,
    /// The sample tables.
    pub tables: Range<u64>,
    /// Samples in the tables.
    pub declared: u32,
}

/// A part of an edit list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// In the movie's units.
    pub duration: u64,
    /// Where it begins, in the track's units; `None` for one in which nothing is shown.
    pub start: Option<i64>,
    /// In parts of 65536.
    pub rate: i32,
}

/// How samples are encoded.
pub(super) struct Description {
    pub codec: [u8; 4],
    /// The `avcC` box of H.264.
    pub avcc: Option<Vec<u8>>,
    /// Colours, as far as the container says.
    pub colours: Said,
}

/// What samples of fragments are like where nothing else is said.
#[derive(Clone, Copy, Default)]
pub(super) struct SampleDefaults {
    pub description: u32,
    pub duration: u32,
    pub size: u32,
    pub flags: u32,
}

impl Survey {
    /// Looks through a file.
    ///
    /// # Errors
    /// [`orthoformer::Error::File`], and [`orthoformer::Error::Contents`] for boxes that make no sense.
    pub fn of(file: &mut BoxFile) -> Result<Self> {
        let (mut survey, mut range, mut has_movie) = (Self::default(), 0..file.length, false);
        while let Some(found) = file.next_of_file(&mut range)? {
            match &found.name {
                b"moov" => {
                    has_movie = true;
                    survey.look_at_movie(file, found.body)?;
                }
                b"moof" => survey.fragments.push(found),
                _ => {}
            }
        }
        if has_movie { Ok(survey) } else { Err(file.damaged("it has no box \"moov\"")) }
    }

    fn look_at_movie(&mut self, file: &mut BoxFile, mut range: Range<u64>) -> Result<()> {
        while let Some(found) = file.next(&mut range)? {
            match &found.name {
                b"mvhd" => {
                    let bytes = file.read(&found)?;
                    (self.timescale, self.matrix) = movie_header(&bytes).ok_or_else(|| file.short(&found))?;
                }
                b"trak" => self.tracks.extend(Track::of(file, found.body)?),
                b"mvex" => self.look_at_defaults(file, found.body)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn look_at_defaults(&mut self, file: &mut BoxFile, mut range: Range<u64>) -> Result<()> {
        while let Some(found) = file.next(&mut range)? {
            if &found.name == b"trex" {
                let bytes = file.read(&found)?;
                let (track, defaults) = sample_defaults(&bytes).ok_or_else(|| file.short(&found))?;
                self.defaults.insert(track, defaults);
            }
        }
        Ok(())
    }

    /// The track that is shown: an enabled one before others, moving pictures before a cover, the first of those.
    pub fn shown(&self) -> Option<&Track> {
        let is_cover = |track: &Track| track.declared == 1 && self.fragments.is_empty();
        self.tracks.iter().min_by_key(|track| (is_cover(track), !track.is_enabled))
    }
}

impl Track {
    /// A track in a range; `None` if it has no pictures.
    fn of(file: &mut BoxFile, mut range: Range<u64>) -> Result<Option<Self>> {
        let (mut track, mut has_pictures) = (Self::default(), false);
        while let Some(found) = file.next(&mut range)? {
            match &found.name {
                b"tkhd" => {
                    let bytes = file.read(&found)?;
                    (track.id, track.is_enabled, track.matrix) = track_header(&bytes).ok_or_else(|| file.short(&found))?;
                }
                b"edts" => {
                    if let Some(found) = file.find(&found.body, b"elst")? {
                        let bytes = file.read(&found)?;
                        track.edits = edits(&bytes).ok_or_else(|| file.short(&found))?;
                    }
                }
                b"mdia" => has_pictures |= track.look_at_media(file, found.body)?,
                _ => {}
            }
        }
        Ok(has_pictures.then_some(track))
    }

    /// Looks at what the track is made of; says whether that is pictures.
    fn look_at_media(&mut self, file: &mut BoxFile, range: Range<u64>) -> Result<bool> {
        let Some(handler) = file.find(&range, b"hdlr")? else { return Ok(false) };
        if file.read(&handler)?.get(8..12) != Some(b"vide") {
            return Ok(false);
        }
        let header = file.find(&range, b"mdhd")?.ok_or_else(|| file.damaged("a track has no box \"mdhd\""))?;
        let bytes = file.read(&header)?;
        self.timescale = media_timescale(&bytes).ok_or_else(|| file.short(&header))?;
        let information = file.find(&range, b"minf")?.map_or(0..0, |found| found.body);
        let tables = file.find(&information, b"stbl")?.ok_or_else(|| file.damaged("a track has no box \"stbl\""))?;
        self.tables = tables.body;
        if let Some(sizes) = file.find(&self.tables, b"stsz")? {
            let head = file.bytes(sizes.body.start..sizes.body.end.min(sizes.body.start + 12))?;
            self.declared = Words(&head).row::<3>().map_or(0, |[_, _, count]| count);
        }
        if let Some(found) = file.find(&self.tables, b"stsd")? {
            // Version, flags and a number of entries are before them.
            let mut range = (found.body.start + 8).min(found.body.end)..found.body.end;
            while let Some(found) = file.next(&mut range)? {
                self.descriptions.push(Description::of(file, &found)?);
            }
        }
        Ok(true)
    }
}

impl Description {
    fn of(file: &mut BoxFile, found: &BoxAt) -> Result<Self> {
        /// Bytes of a visual sample entry before its boxes.
        const HEAD: u64 = 78;
        let mut description = Self { codec: found.name, avcc: None, colours: Said::default() };
        let mut range = found.body.start.saturating_add(HEAD).min(found.body.end)..found.body.end;
        while let Some(found) = file.next(&mut range)? {
            match &found.name {
                b"avcC" => description.avcc = Some(file.read(&found)?),
                b"colr" => description.colours = description.colours.or(Said::by_box(&file.read(&found)?)),
                _ => {}
            }
        }
        Ok(description)
    }

    /// Whether samples are H.264.
    pub fn is_h264(&self) -> bool {
        matches!(&self.codec, b"avc1" | b"avc3")
    }
}

fn movie_header(bytes: &[u8]) -> Option<(u32, DisplayMatrix)> {
    let mut words = Words(bytes);
    let (version, _) = words.version()?;
    words.skip(if version == 0 { 8 } else { 16 })?;
    let timescale = words.u32()?;
    words.long(version)?;
    // Rate, volume, and what is reserved.
    words.skip(16)?;
    Some((timescale, display_matrix(&mut words)?))
}

fn track_header(bytes: &[u8]) -> Option<(u32, bool, DisplayMatrix)> {
    let mut words = Words(bytes);
    let (version, flags) = words.version()?;
    words.skip(if version == 0 { 8 } else { 16 })?;
    let id = words.u32()?;
    words.skip(4)?;
    words.long(version)?;
    // What is reserved, layer, group and volume.
    words.skip(16)?;
    Some((id, flags & 1 != 0, display_matrix(&mut words)?))
}

fn display_matrix(words: &mut Words<'_>) -> Option<DisplayMatrix> {
    words.row().map(|row| row.map(u32::cast_signed))
}

fn media_timescale(bytes: &[u8]) -> Option<u32> {
    let mut words = Words(bytes);
    let (version, _) = words.version()?;
    words.skip(if version == 0 { 8 } else { 16 })?;
    words.u32().filter(|&timescale| timescale > 0)
}

fn edits(bytes: &[u8]) -> Option<Vec<Edit>> {
    let mut words = Words(bytes);
    let (version, _) = words.version()?;
    let count = words.u32()?;
    let mut edits = Vec::new();
    for _ in 0..count {
        let duration = words.long(version)?;
        let start = if version == 0 { words.u32()?.cast_signed().into() } else { words.u64()?.cast_signed() };
        edits.push(Edit { duration, start: (start != -1).then_some(start), rate: words.u32()?.cast_signed() });
    }
    Some(edits)
}

fn sample_defaults(bytes: &[u8]) -> Option<(u32, SampleDefaults)> {
    let [_, track, description, duration, size, flags] = Words(bytes).row()?;
    Some((track, SampleDefaults { description, duration, size, flags }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_of_both_versions_are_read() {
        let empty = Edit { duration: 100, start: None, rate: 1 << 16 };
        let later = Edit { duration: 1100, start: Some(12_000), rate: 1 << 16 };
        let short =
            [&[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 100][..], &[255; 4], &[0, 1, 0, 0, 0, 0, 4, 76, 0, 0, 46, 224, 0, 1, 0, 0]];
        assert_eq!(edits(&short.concat()), Some(vec![empty, later]));
        let long = [&[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 76][..], &[0, 0, 0, 0, 0, 0, 46, 224, 0, 1, 0, 0]].concat();
        assert_eq!(edits(&long), Some(vec![later]));
        assert_eq!(edits(&long[..27]), None, "too short");
    }

    #[test]
    fn a_cover_is_not_the_track_that_is_shown() {
        let track = |id, declared, is_enabled| Track { id, declared, is_enabled, ..Track::default() };
        let shown = |tracks: Vec<Track>| Survey { tracks, ..Survey::default() }.shown().map(|track| track.id);
        assert_eq!(shown(vec![track(1, 1, true), track(2, 30, true), track(3, 30, true)]), Some(2));
        assert_eq!(shown(vec![track(1, 30, false), track(2, 30, true)]), Some(2));
        assert_eq!(shown(vec![track(1, 30, false), track(2, 1, true)]), Some(1));
        assert_eq!((shown(vec![track(7, 1, false)]), shown(vec![])), (Some(7), None));
    }
}

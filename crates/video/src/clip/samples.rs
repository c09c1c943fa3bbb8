//! The samples of a track, one for each encoded picture: from the tables of an MP4, and from its fragments.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use orthoformer::Result;

use super::boxes::{BoxAt, BoxFile, Words};
use super::survey::{SampleDefaults, Survey, Track};

/// Most samples: 38 hours of pictures at 30 a second.
const MOST_SAMPLES: u64 = 1 << 22;

/// An encoded picture. Times are in the track's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub offset: u64,
    pub size: u32,
    /// When it is shown.
    pub time: i64,
    /// How long; not positive in files whose writer did not know.
    pub duration: i64,
    /// Whether decoding can start here.
    pub is_sync: bool,
    /// Its description, from 0.
    pub description: u32,
}

/// All samples of a track, in the order of decoding.
///
/// # Errors
/// [`orthoformer::Error::File`], and [`orthoformer::Error::Contents`] for tables that make no sense.
pub(super) fn samples(file: &mut BoxFile, survey: &Survey, track: &Track) -> Result<Vec<Sample>> {
    let mut samples = of_tables(file, track)?;
    let end = samples.last().map_or(0, |last| last.time.saturating_add(last.duration.max(0)));
    let mut fragments = Fragments { track: track.id, defaults: &survey.defaults, time: end, samples: &mut samples };
    for fragment in &survey.fragments {
        fragments.add(file, fragment)?;
    }
    Ok(samples)
}

/// Makes sure that there can be so many samples: each takes at least a byte.
fn check_count(file: &BoxFile, declared: u64) -> Result<()> {
    let most = file.length.min(MOST_SAMPLES);
    if declared <= most {
        return Ok(());
    }
    Err(file.damaged(&format!("it declares {declared} samples; at most {most} are read")))
}

fn of_tables(file: &mut BoxFile, track: &Track) -> Result<Vec<Sample>> {
    let sizes = sizes(file, track)?;
    if sizes.is_empty() {
        return Ok(Vec::new());
    }
    let (_, durations) = required::<2>(file, &track.tables, b"stts")?;
    let (_, offsets) = optional::<2>(file, &track.tables, b"ctts")?.unwrap_or_default();
    let (_, runs) = required::<3>(file, &track.tables, b"stsc")?;
    let chunks: Vec<u64> = match optional::<1>(file, &track.tables, b"stco")? {
        Some((_, chunks)) => chunks.into_iter().map(|[offset]| offset.into()).collect(),
        None => {
            let found = file.find(&track.tables, b"co64")?.ok_or_else(|| file.damaged("it has no box \"stco\""))?;
            long_offsets(&file.read(&found)?).ok_or_else(|| file.short(&found))?
        }
    };
    let sync = optional::<1>(file, &track.tables, b"stss")?;
    let sync: Option<BTreeSet<u32>> = sync.map(|(_, numbers)| numbers.into_iter().map(|[number]| number).collect());
    let last = durations.last().map_or(0, |&[_, duration]| duration);
    let mut durations = repeated(&durations).chain(std::iter::repeat(last));
    let mut offsets = repeated(&offsets).chain(std::iter::repeat(0));
    let (mut samples, mut sizes, mut decoded, mut run) = (Vec::with_capacity(sizes.len()), sizes.into_iter(), 0i64, 0);
    for (number, mut offset) in (1u32..).zip(chunks) {
        while runs.get(run + 1).is_some_and(|&[first, ..]| first <= number) {
            run += 1;
        }
        let [_, count, description] = runs.get(run).copied().unwrap_or_default();
        for size in sizes.by_ref().take(count as usize) {
            // Both may be negative: the last duration of a clip that was cut, and shifts of version 0 too.
            let (duration, shift) = (signed(durations.next().unwrap_or(0)), signed(offsets.next().unwrap_or(0)));
            let is_sync = sync.as_ref().is_none_or(|sync| sync.contains(&(samples.len() as u32 + 1)));
            let (time, description) = (decoded + shift, description.saturating_sub(1));
            samples.push(Sample { offset, size, time, duration, is_sync, description });
            (offset, decoded) = (offset.saturating_add(size.into()), decoded + duration);
        }
    }
    match sizes.len() {
        0 => Ok(samples),
        left => Err(file.damaged(&format!("its chunks leave out {left} samples that it declares"))),
    }
}

fn signed(value: u32) -> i64 {
    value.cast_signed().into()
}

/// The sizes of a track's samples.
fn sizes(file: &mut BoxFile, track: &Track) -> Result<Vec<u32>> {
    let Some(found) = file.find(&track.tables, b"stsz")? else { return small_sizes(file, track) };
    let head = file.bytes(found.body.start..found.body.end.min(found.body.start + 12))?;
    let [_, size, count] = Words(&head).row().ok_or_else(|| file.short(&found))?;
    check_count(file, count.into())?;
    if size > 0 {
        return Ok(vec![size; count as usize]);
    }
    let bytes = file.read(&found)?;
    let rows = bytes.get(12..).and_then(|rows| Words(rows).rows::<1>(count)).ok_or_else(|| file.short(&found))?;
    Ok(rows.into_iter().map(|[size]| size).collect())
}

/// The sizes of `stz2`, which have 4, 8 or 16 bits.
fn small_sizes(file: &mut BoxFile, track: &Track) -> Result<Vec<u32>> {
    let Some(found) = file.find(&track.tables, b"stz2")? else { return Ok(Vec::new()) };
    let bytes = file.read(&found)?;
    let head = Words(&bytes).row::<3>().zip(bytes.get(12..));
    let ([_, bits, count], rest) = head.ok_or_else(|| file.short(&found))?;
    check_count(file, count.into())?;
    let sizes: Vec<u32> = match bits & 0xff {
        4 => rest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(u32::from).collect(),
        8 => rest.iter().map(|&byte| byte.into()).collect(),
        16 => rest.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).collect(),
        _ => Vec::new(),
    };
    sizes.get(..count as usize).map(<[u32]>::to_vec).ok_or_else(|| file.short(&found))
}

fn optional<const N: usize>(file: &mut BoxFile, tables: &Range<u64>, name: &[u8; 4]) -> Result<Option<(u8, Vec<[u32; N]>)>> {
    file.find(tables, name)?.map(|found| file.table(&found)).transpose()
}

fn required<const N: usize>(file: &mut BoxFile, tables: &Range<u64>, name: &[u8; 4]) -> Result<(u8, Vec<[u32; N]>)> {
    let found = optional(file, tables, name)?;
    found.ok_or_else(|| file.damaged(&format!("it has no box \"{}\"", name.escape_ascii())))
}

/// Values of rows that say how often each comes.
fn repeated(rows: &[[u32; 2]]) -> impl Iterator<Item = u32> {
    rows.iter().flat_map(|&[count, value]| std::iter::repeat_n(value, count as usize))
}

fn long_offsets(bytes: &[u8]) -> Option<Vec<u64>> {
    let mut words = Words(bytes);
    words.version()?;
    let count = words.u32()?;
    let mut offsets = Vec::new();
    for _ in 0..count {
        offsets.push(words.u64()?);
    }
    Some(offsets)
}

/// Adds up fragments.
struct Fragments<'f> {
    track: u32,
    defaults: &'f BTreeMap<u32, SampleDefaults>,
    /// When the next sample is decoded, where a fragment does not say.
    time: i64,
    samples: &'f mut Vec<Sample>,
}

impl Fragments<'_> {
    /// Adds the samples of a `moof` box.
    fn add(&mut self, file: &mut BoxFile, fragment: &BoxAt) -> Result<()> {
        let mut range = fragment.body.clone();
        // Without other words, data begin with the fragment, and go on from track to track.
        let mut end = fragment.start;
        while let Some(found) = file.next(&mut range)? {
            if &found.name == b"traf" {
                end = self.add_track(file, (fragment.start, end), found.body)?;
            }
        }
        Ok(())
    }

    /// Adds the samples of a `traf` box, if they are this track's; returns where its data end.
    fn add_track(&mut self, file: &mut BoxFile, (start, mut end): (u64, u64), mut range: Range<u64>) -> Result<u64> {
        let (mut header, mut base) = (None, end);
        while let Some(found) = file.next(&mut range)? {
            match &found.name {
                b"tfhd" => {
                    let bytes = file.read(&found)?;
                    let read = track_header(&bytes, (start, end), self.defaults).ok_or_else(|| file.short(&found))?;
                    base = read.base;
                    end = base;
                    header = Some(read);
                }
                b"tfdt" if header.as_ref().is_some_and(|header| header.track == self.track) => {
                    let bytes = file.read(&found)?;
                    let mut words = Words(&bytes);
                    let time = words.version().and_then(|(version, _)| words.long(version)).ok_or_else(|| file.short(&found))?;
                    self.time = i64::try_from(time).map_err(|_| file.damaged("a fragment's time is none"))?;
                }
                b"trun" => {
                    let bytes = file.read(&found)?;
                    let header = header.as_ref().ok_or_else(|| file.damaged("a fragment has no box \"tfhd\""))?;
                    end = self.add_run(file, header, (base, end), &bytes)?.ok_or_else(|| file.short(&found))?;
                }
                _ => {}
            }
        }
        Ok(end)
    }

    /// Adds the samples of a `trun` box, if they are this track's; returns where their data end, or `None` if the box is too short.
    fn add_run(&mut self, file: &BoxFile, header: &TrackHeader, (base, end): (u64, u64), bytes: &[u8]) -> Result<Option<u64>> {
        let TrackHeader { track, defaults, .. } = *header;
        let mut words = Words(bytes);
        let Some(((_, flags), count)) = words.version().zip(words.u32()) else { return Ok(None) };
        let has = |flag: u32| flags & flag != 0;
        check_count(file, self.samples.len() as u64 + u64::from(count))?;
        let mut offset = end;
        if has(1) {
            let Some(shift) = words.u32() else { return Ok(None) };
            offset = base.saturating_add_signed(signed(shift));
        }
        let mut first_flags = if has(4) { words.u32() } else { None };
        for _ in 0..count {
            let mut field = |flag: u32, usual: u32| if has(flag) { words.u32() } else { Some(usual) };
            let fields =
                (field(0x100, defaults.duration), field(0x200, defaults.size), field(0x400, defaults.flags), field(0x800, 0));
            let (Some(duration), Some(size), Some(flags), Some(shift)) = fields else { return Ok(None) };
            let flags = first_flags.take().unwrap_or(flags);
            if track == self.track {
                // Writers of version 0 mean negative numbers too.
                let time = self.time.saturating_add(signed(shift));
                // A bit says that a sample is *not* where decoding can start.
                let (is_sync, description) = (flags & 0x1_0000 == 0, defaults.description.saturating_sub(1));
                let duration = signed(duration);
                self.samples.push(Sample { offset, size, time, duration, is_sync, description });
                self.time = self.time.saturating_add(duration);
            }
            offset = offset.saturating_add(size.into());
        }
        Ok(Some(offset))
    }
}

/// What a `tfhd` box says.
struct TrackHeader {
    track: u32,
    /// What offsets of data are counted from.
    base: u64,
    defaults: SampleDefaults,
}

fn track_header(bytes: &[u8], (start, end): (u64, u64), usual: &BTreeMap<u32, SampleDefaults>) -> Option<TrackHeader> {
    let mut words = Words(bytes);
    let (_, flags) = words.version()?;
    let has = |flag: u32| flags & flag != 0;
    let track = words.u32()?;
    let usual = usual.get(&track).copied().unwrap_or_default();
    let base = match (has(1), has(0x2_0000)) {
        (true, _) => words.u64()?,
        (false, true) => start,
        (false, false) => end,
    };
    let mut field = |flag: u32, usual: u32| if has(flag) { words.u32() } else { Some(usual) };
    let defaults = SampleDefaults {
        description: field(2, usual.description)?,
        duration: field(8, usual.duration)?,
        size: field(0x10, usual.size)?,
        flags: field(0x20, usual.flags)?,
    };
    Some(TrackHeader { track, base, defaults })
}

//! The pictures of an H.264 track, decoded in the order of the file and handed out in that of showing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use image::RgbImage;
use orthoformer::{Error, Result};
use rusty_h264_decoder::{DecodeError, Decoder};

use super::colours::Said;
use super::planes::{Sampling, scaled, to_rgb};
use super::samples::Sample;
use super::shield::shielded;
use super::timeline::{Part, Timeline};
use super::turn::Turn;
use super::{Clip, Damage, Notes, contents, ffmpeg};

/// H.264 reorders at most 16 pictures.
const MOST_WAITING: usize = 17;
/// Types of units: a slice of a picture that needs no other, and a sequence parameter set.
const IDR: u8 = 5;
const SPS: u8 = 7;

/// How samples are decoded.
pub(super) struct Description {
    /// Parameter sets as an Annex B stream.
    parameter_sets: Vec<u8>,
    /// Bytes of the length before each unit of a sample.
    pub length_size: usize,
    /// What the container says of colours.
    by_box: Said,
    /// What is said of colours in all.
    colours: Said,
}

impl Description {
    /// For these parameter sets.
    pub fn new(path: &Path, units: Vec<&[u8]>, length_size: usize, by_box: Said) -> Self {
        let mut parameter_sets = Vec::new();
        units.iter().for_each(|unit| append_unit(&mut parameter_sets, unit));
        let sps = units.iter().find(|unit| unit_type(unit) == SPS);
        let colours = sps.map_or_else(Said::default, |sps| Said::by_sps(path, sps)).or(by_box);
        Self { parameter_sets, length_size, by_box, colours }
    }
}

/// Why a picture was not decoded.
enum Trouble {
    /// A coding tool that this decoder does not have; another may.
    Unsupported(&'static str),
    Failed(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Decodes the parts of a timeline, one after the other.
pub(super) struct H264Frames {
    file: File,
    path: PathBuf,
    descriptions: Vec<Description>,
    samples: Vec<Sample>,
    timeline: Timeline,
    turn: Turn,
    /// The track, as ffmpeg calls it.
    stream: String,
    damage: Damage,
    notes: Notes,
    decoder: Decoder,
    /// What is left of the part that is being decoded, and the ones after it.
    part: Part,
    parts: std::vec::IntoIter<Part>,
    /// The place of each sample of the part in the order of showing; `None` for one that is only decoded.
    ranks: Vec<Option<usize>>,
    /// Decoded pictures by rank; `None` where a sample had no picture.
    ready: BTreeMap<usize, Option<RgbImage>>,
    /// Ranks of the part handed out so far.
    shown: usize,
    /// The description whose parameter sets the decoder has.
    described: Option<u32>,
    /// Size of the first picture, not turned.
    size: Option<(u32, u32)>,
    /// ffmpeg's frames, once the stream has used a coding tool that is not decoded here.
    successor: Option<Clip>,
    /// Frames handed out so far.
    handed_out: usize,
    /// Pictures that damage has cost, and the first reason.
    lost: usize,
    reason: Option<Error>,
    /// Whether damage makes what follows useless, up to the next picture at which decoding can start.
    is_waiting: bool,
    /// The time of that picture: those shown before it may need what is lost.
    resumed_at: i64,
    ended: bool,
}

impl Iterator for H264Frames {
    type Item = Result<RgbImage>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            if let Some(picture) = self.ready.remove(&self.shown) {
                self.shown += 1;
                match picture {
                    Some(picture) => {
                        self.handed_out += 1;
                        return Some(Ok(picture));
                    }
                    None => continue,
                }
            }
            if let Some(successor) = &mut self.successor {
                let next = successor.next();
                if next.is_none() {
                    successor.notes().into_iter().for_each(|note| self.notes.add(note));
                }
                return next;
            }
            if let Err(error) = self.step() {
                self.ended = true;
                return Some(Err(error));
            }
        }
        None
    }
}

impl H264Frames {
    /// The frames of samples that are described and shown so.
    pub fn new(
        path: &Path,
        file: File,
        (descriptions, samples, timeline): (Vec<Description>, Vec<Sample>, Timeline),
        (turn, stream): (Turn, String),
        (damage, notes): (Damage, Notes),
    ) -> Self {
        let parts = timeline.parts.clone().into_iter();
        Self {
            file,
            path: path.to_owned(),
            descriptions,
            samples,
            timeline,
            turn,
            stream,
            damage,
            notes,
            decoder: Decoder::new(),
            part: Part::default(),
            parts,
            ranks: Vec::new(),
            ready: BTreeMap::new(),
            shown: 0,
            described: None,
            size: None,
            successor: None,
            handed_out: 0,
            lost: 0,
            reason: None,
            is_waiting: false,
            resumed_at: i64::MIN,
            ended: false,
        }
    }

    /// Decodes the next sample, or goes on to the next part.
    fn step(&mut self) -> Result<()> {
        let Some(index) = self.part.decoded.next() else { return self.next_part() };
        let rank = self.ranks.get(index - self.first()).copied().flatten();
        let sample = self.samples[index];
        if rank.is_none() && sample.time < self.samples[self.first()].time {
            // What is shown before the part begins is not needed after it, and may need what was never there.
            return Ok(());
        }
        if self.is_waiting && sample.is_sync {
            self.start_anew(sample.time);
        }
        if self.is_waiting || sample.time < self.resumed_at {
            self.lost += usize::from(rank.is_some());
            return rank.map_or(Ok(()), |rank| self.wait(rank, None));
        }
        let outcome = match self.decode(index, rank.is_some()) {
            Err(Trouble::Unsupported(tool)) => match self.hand_over(tool) {
                Ok(()) => return Ok(()),
                Err(error) => Err(error),
            },
            Err(Trouble::Failed(error)) => Err(error),
            Ok(picture) => Ok(picture),
        };
        let picture = match outcome {
            Err(Error::Contents { path, reason }) if self.damage == Damage::LeftOut => {
                self.reason.get_or_insert(Error::Contents { path, reason });
                self.lost += usize::from(rank.is_some());
                self.is_waiting = true;
                None
            }
            other => other?,
        };
        rank.map_or(Ok(()), |rank| self.wait(rank, picture))
    }

    /// The sample that the part begins with.
    fn first(&self) -> usize {
        self.part.decoded.end - self.ranks.len()
    }

    /// Decodes without what came before; pictures that are shown before a time are lost.
    fn start_anew(&mut self, resumed_at: i64) {
        self.decoder = Decoder::new();
        self.resumed_at = resumed_at;
        self.described = None;
        self.is_waiting = false;
    }

    /// Goes on to the next part, if there is one.
    fn next_part(&mut self) -> Result<()> {
        let Some(part) = self.parts.next() else { return self.end() };
        self.ranks = vec![None; part.decoded.len()];
        for (rank, &index) in self.timeline.shown(&part).iter().enumerate() {
            if let Some(slot) = index.checked_sub(part.decoded.start).and_then(|place| self.ranks.get_mut(place)) {
                *slot = Some(rank);
            }
        }
        self.part = part;
        self.shown = 0;
        self.start_anew(i64::MIN);
        Ok(())
    }

    /// Sums up what was lost.
    fn end(&mut self) -> Result<()> {
        self.ended = true;
        let Some(reason) = self.reason.take() else { return Ok(()) };
        if self.handed_out == 0 {
            return Err(reason);
        }
        let Error::Contents { reason, .. } = reason else { return Err(reason) };
        let all = self.handed_out + self.lost;
        self.notes.add(format!("Damaged: of {all} pictures {} are left out, the first of them for this: {reason}.", self.lost));
        Ok(())
    }

    /// Keeps a picture until its turn.
    fn wait(&mut self, rank: usize, picture: Option<RgbImage>) -> Result<()> {
        self.ready.insert(rank, picture);
        if self.ready.len() > MOST_WAITING {
            let reason = format!("damaged MP4: more than {MOST_WAITING} pictures wait for one that is shown before them");
            return Err(contents(&self.path, &reason));
        }
        Ok(())
    }

    /// Lets ffmpeg decode the clip from its start, and skips what has been handed out.
    fn hand_over(&mut self, tool: &str) -> Result<()> {
        let why = format!("the H.264 coding tool {tool:?} is not decoded without ffmpeg");
        let mut successor = ffmpeg::open(&self.path, &why, &self.stream, self.damage)?;
        for _ in 0..self.handed_out {
            successor.next().transpose()?;
        }
        self.ready.clear();
        self.successor = Some(successor);
        Ok(())
    }

    fn decode(&mut self, index: usize, is_shown: bool) -> std::result::Result<Option<RgbImage>, Trouble> {
        let (sample, path) = (self.samples[index], &self.path);
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(sample.offset)).map_err(Error::file("read", path))?;
        (&self.file).take(sample.size.into()).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
        let damaged = |what: &dyn std::fmt::Display| contents(path, &format!("damaged H.264: picture {index}{what}"));
        if bytes.len() < sample.size as usize {
            return Err(damaged(&" lies beyond the end of the file").into());
        }
        let number = sample.description;
        let description = self.descriptions.get_mut(number as usize);
        let description = description.ok_or_else(|| damaged(&" is of a kind that the file does not describe"))?;
        let is_new = self.described.replace(number) != Some(number);
        let mut stream = if sample.is_sync || is_new { description.parameter_sets.clone() } else { Vec::new() };
        for unit in units(&bytes, description.length_size) {
            let unit = unit.ok_or_else(|| damaged(&" is cut off inside a unit"))?;
            if unit_type(unit) == SPS {
                description.colours = Said::by_sps(path, unit).or(description.by_box);
            }
            append_unit(&mut stream, unit);
        }
        let decoder = &mut self.decoder;
        let decoded = shielded(path, || Ok(decoder.decode(&stream)))?.map_err(|error| match error {
            DecodeError::Unsupported(tool) => Trouble::Unsupported(tool),
            other => damaged(&format_args!(": {other}")).into(),
        })?;
        let Some(frame) = decoded.filter(|_| is_shown) else { return Ok(None) };
        let colours = description.colours.colours(path)?;
        let (planes, size) = ([frame.y.as_slice(), &frame.u, &frame.v], (frame.width as u32, frame.height as u32));
        let first = *self.size.get_or_insert(size);
        let picture = if size == first {
            to_rgb(path, planes, size, Sampling::Yuv420, colours)?
        } else {
            let sizes = format!("from {} x {} to {} x {}", first.0, first.1, size.0, size.1);
            self.notes.add(format!("Its pictures change size {sizes}: all are shown in the first."));
            let [y, u, v] = scaled(planes, size, first).ok_or_else(|| damaged(&" has too few pixels"))?;
            to_rgb(path, [&y, &u, &v], first, Sampling::Yuv422, colours)?
        };
        Ok(Some(self.turn.apply(picture)))
    }
}

/// Whether a sample begins anew, so that nothing after it needs anything before it.
pub(super) fn begins_anew(bytes: &[u8], length_size: usize) -> bool {
    units(bytes, length_size).map_while(|unit| unit).any(|unit| unit_type(unit) == IDR)
}

fn unit_type(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |first| first & 0x1f)
}

fn append_unit(stream: &mut Vec<u8>, unit: &[u8]) {
    stream.extend_from_slice(&[0, 0, 0, 1]);
    stream.extend_from_slice(unit);
}

/// Units with a length before each. `None` for one whose length reaches beyond the end, and nothing after it.
fn units(mut bytes: &[u8], length_size: usize) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let taken = bytes.split_at_checked(length_size).and_then(|(length, rest)| {
            let length = length.iter().fold(0usize, |total, &byte| total << 8 | usize::from(byte));
            rest.split_at_checked(length)
        });
        let (unit, rest) = taken.unzip();
        bytes = rest.unwrap_or_default();
        Some(unit)
    })
}

//! MP4 files with H.264 video.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, decode_nal};
use image::{RgbImage, imageops};
use orthoformer::{Error, Result};
use re_mp4::{Mp4, StsdBoxContent, Track, TrackKind};
use rusty_h264_decoder::{DecodeError, Decoder};
use yuv::{YuvRange, YuvStandardMatrix};

use super::boxes::{FewSeeks, look_through};
use super::shield::shielded;
use super::y4m::{Colours, Sampling, to_rgb};
use super::{Clip, Frames, contents, ffmpeg};

/// H.264 reorders at most 16 pictures.
const MOST_WAITING: usize = 17;

/// Opens an MP4 file. Codecs other than H.264, and H.264 tools that the decoder does not have, go to ffmpeg.
pub(super) fn open(path: &Path) -> Result<Clip> {
    let mut file = File::open(path).map_err(Error::file("read", path))?;
    let length = file.metadata().map_err(Error::file("read", path))?.len();
    let damaged = |why: &dyn std::fmt::Display| contents(path, &format!("damaged or truncated MP4 ({length} bytes): {why}"));
    let boxes = look_through(path, &mut file, length)?;
    let parsed = match boxes.nonsense {
        Some(nonsense) => Err(damaged(&nonsense)),
        None => shielded(path, || {
            let reader = FewSeeks::new(BufReader::new(&file), length);
            Mp4::read(reader, length).map_err(|error| damaged(&error))
        }),
    };
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(Error::Contents { reason, .. }) => return ffmpeg::open(path, &reason),
        Err(error) => return Err(error),
    };
    let track = parsed.tracks().values().find(|track| track.kind == Some(TrackKind::Video));
    let Some(track) = track else {
        return ffmpeg::open(path, "an MP4 without a video track of a codec that is decoded without ffmpeg");
    };
    let StsdBoxContent::Avc1(avc1) = &track.trak(&parsed).mdia.minf.stbl.stsd.contents else {
        let codec = track.codec_string(&parsed).unwrap_or_else(|| "of an unknown name".to_owned());
        return ffmpeg::open(path, &format!("the video codec {codec} is not decoded without ffmpeg"));
    };
    let avcc = &avc1.avcc.contents;
    let mut parameter_sets = Vec::new();
    for unit in avcc.sequence_parameter_sets.iter().chain(&avcc.picture_parameter_sets) {
        append_unit(&mut parameter_sets, &unit.bytes);
    }
    let matrix = &track.trak(&parsed).tkhd.matrix;
    let frames = H264Frames {
        samples: samples(path, track, length)?,
        file,
        path: path.to_owned(),
        parameter_sets,
        length_size: usize::from(avcc.length_size_minus_one & 3) + 1,
        turn: Turn::of([matrix.a, matrix.b, matrix.c, matrix.d]),
        colours: avcc.sequence_parameter_sets.first().map_or(UNSAID, |unit| colours(path, &unit.bytes)),
        decoder: Decoder::new(),
        decoded: 0,
        ready: BTreeMap::new(),
        shown: 0,
        successor: None,
        failed: false,
    };
    let count = frames.samples.len();
    let seconds: f64 = track.samples.iter().map(|sample| sample.duration as f64 / sample.timescale.max(1) as f64).sum();
    let rate = (seconds > 0.0).then(|| count as f64 / seconds);
    Clip::from_frames(path, rate, Some(count), Box::new(frames) as Frames)
}

/// Colours of a stream that says nothing about them.
const UNSAID: Colours = Colours { range: YuvRange::Limited, matrix: None };

/// What a sequence parameter set says about colours; nothing, if it cannot be read (the decoder will say so).
fn colours(path: &Path, sps: &[u8]) -> Colours {
    let parsed = shielded(path, || {
        let bytes = decode_nal(sps).ok();
        Ok(bytes.and_then(|bytes| SeqParameterSet::from_bits(BitReader::new(&*bytes)).ok()))
    });
    let signal = parsed.ok().flatten().and_then(|sps| sps.vui_parameters).and_then(|vui| vui.video_signal_type);
    let Some(signal) = signal else { return UNSAID };
    let matrix = match signal.colour_description.map(|description| description.matrix_coefficients) {
        Some(1) => Some(YuvStandardMatrix::Bt709),
        Some(5 | 6) => Some(YuvStandardMatrix::Bt601),
        Some(7) => Some(YuvStandardMatrix::Smpte240),
        Some(9 | 10) => Some(YuvStandardMatrix::Bt2020),
        _ => None,
    };
    Colours { range: if signal.video_full_range_flag { YuvRange::Full } else { YuvRange::Limited }, matrix }
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

/// An encoded picture.
struct EncodedPicture {
    offset: u64,
    size: usize,
    /// Place in the order of showing.
    rank: usize,
    is_sync: bool,
}

/// The track's samples in the order of decoding.
fn samples(path: &Path, track: &Track, file_length: u64) -> Result<Vec<EncodedPicture>> {
    let mut by_time: Vec<usize> = (0..track.samples.len()).collect();
    by_time.sort_by_key(|&index| track.samples[index].composition_timestamp);
    let mut ranks = vec![0; by_time.len()];
    for (rank, &index) in by_time.iter().enumerate() {
        ranks[index] = rank;
    }
    let encoded = track.samples.iter().zip(ranks).enumerate().map(|(index, (sample, rank))| {
        let end = sample.offset.checked_add(sample.size);
        if end.is_none_or(|end| end > file_length) {
            let reason = format!("truncated: picture {index} of {} lies beyond the end of the file", track.samples.len());
            return Err(contents(path, &reason));
        }
        Ok(EncodedPicture { offset: sample.offset, size: sample.size as usize, rank, is_sync: sample.is_sync })
    });
    encoded.collect()
}

/// Decodes pictures in file order and hands them out in the order of showing.
struct H264Frames {
    file: File,
    path: PathBuf,
    samples: Vec<EncodedPicture>,
    /// Parameter sets as an Annex B stream.
    parameter_sets: Vec<u8>,
    /// Bytes of the length before each unit of a sample.
    length_size: usize,
    turn: Turn,
    colours: Colours,
    decoder: Decoder,
    /// Samples decoded so far.
    decoded: usize,
    /// Decoded pictures by rank; `None` where a sample had no picture.
    ready: BTreeMap<usize, Option<RgbImage>>,
    /// Ranks handed out so far.
    shown: usize,
    /// ffmpeg's frames, once the stream has used a coding tool that is not decoded here.
    successor: Option<Clip>,
    failed: bool,
}

impl Iterator for H264Frames {
    type Item = Result<RgbImage>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Some(picture) = self.ready.remove(&self.shown) {
                self.shown += 1;
                match picture {
                    Some(picture) => return Some(Ok(picture)),
                    None => continue,
                }
            }
            if let Some(successor) = &mut self.successor {
                return successor.next();
            }
            let sample = self.samples.get(self.decoded)?;
            let rank = sample.rank;
            let outcome = match self.decode_next() {
                Ok(picture) => self.wait(rank, picture),
                Err(Trouble::Unsupported(tool)) => self.hand_over(tool),
                Err(Trouble::Failed(error)) => Err(error),
            };
            if let Err(error) = outcome {
                self.failed = true;
                return Some(Err(error));
            }
        }
        None
    }
}

impl H264Frames {
    /// Keeps a picture until its turn.
    fn wait(&mut self, rank: usize, picture: Option<RgbImage>) -> Result<()> {
        self.ready.insert(rank, picture);
        if self.ready.len() > MOST_WAITING {
            let reason = format!("damaged MP4: more than {MOST_WAITING} pictures wait for one that is shown before them");
            return Err(contents(&self.path, &reason));
        }
        Ok(())
    }

    /// Lets ffmpeg decode the clip from its start, and skips what has been shown.
    fn hand_over(&mut self, tool: &str) -> Result<()> {
        let why = format!("the H.264 coding tool {tool:?} is not decoded without ffmpeg");
        let mut successor = ffmpeg::open(&self.path, &why)?;
        for _ in 0..self.shown {
            successor.next().transpose()?;
        }
        self.ready.clear();
        self.successor = Some(successor);
        Ok(())
    }

    fn decode_next(&mut self) -> std::result::Result<Option<RgbImage>, Trouble> {
        let sample = &self.samples[self.decoded];
        let mut bytes = vec![0; sample.size];
        self.file.seek(SeekFrom::Start(sample.offset)).map_err(Error::file("read", &self.path))?;
        self.file.read_exact(&mut bytes).map_err(Error::file("read", &self.path))?;
        let mut stream = if sample.is_sync || self.decoded == 0 { self.parameter_sets.clone() } else { Vec::new() };
        let index = self.decoded;
        self.decoded += 1;
        append_units(&mut stream, &bytes, self.length_size)
            .ok_or_else(|| contents(&self.path, &format!("damaged H.264: picture {index} is cut off inside a unit")))?;
        let (decoder, path) = (&mut self.decoder, &self.path);
        let decoded = shielded(path, || Ok(decoder.decode(&stream)))?.map_err(|error| match error {
            DecodeError::Unsupported(tool) => Trouble::Unsupported(tool),
            other => contents(path, &format!("damaged H.264: picture {index}: {other}")).into(),
        })?;
        let Some(frame) = decoded else { return Ok(None) };
        let planes = [frame.y.as_slice(), &frame.u, &frame.v];
        let size = (frame.width as u32, frame.height as u32);
        Ok(Some(self.turn.apply(to_rgb(path, planes, size, Sampling::Yuv420, self.colours)?)))
    }
}

/// How the track's matrix turns pictures before they are shown, as phones record them.
#[derive(Clone, Copy)]
enum Turn {
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

impl Turn {
    fn of(matrix: [i32; 4]) -> Self {
        match matrix.map(i32::signum) {
            [0, 1, -1, 0] => Self::Quarter,
            [-1, 0, 0, -1] => Self::Half,
            [0, -1, 1, 0] => Self::ThreeQuarters,
            _ => Self::None,
        }
    }

    fn apply(self, picture: RgbImage) -> RgbImage {
        match self {
            Self::None => picture,
            Self::Quarter => imageops::rotate90(&picture),
            Self::Half => imageops::rotate180(&picture),
            Self::ThreeQuarters => imageops::rotate270(&picture),
        }
    }
}

fn append_unit(stream: &mut Vec<u8>, unit: &[u8]) {
    stream.extend_from_slice(&[0, 0, 0, 1]);
    stream.extend_from_slice(unit);
}

/// Turns units with a length before each into units with a start code. `None` if a length reaches beyond the end.
fn append_units(stream: &mut Vec<u8>, mut bytes: &[u8], length_size: usize) -> Option<()> {
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at_checked(length_size)?;
        let length = length.iter().fold(0usize, |total, &byte| total << 8 | usize::from(byte));
        let (unit, rest) = rest.split_at_checked(length)?;
        append_unit(stream, unit);
        bytes = rest;
    }
    Some(())
}

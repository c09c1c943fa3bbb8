//! MP4 files: their video track, where it is H.264. Other codecs go to ffmpeg.

use std::path::Path;

use orthoformer::{Error, Result};

use super::boxes::{BoxFile, Words};
use super::h264::{Description, H264Frames, begins_anew};
use super::samples::{Sample, samples};
use super::survey::{self, Survey, Track};
use super::timeline::Timeline;
use super::turn::Turn;
use super::{Clip, Damage, Facts, Notes, contents, ffmpeg};

/// Opens an MP4 file. Codecs other than H.264, and H.264 tools that the decoder does not have, go to ffmpeg.
pub(super) fn open(path: &Path, damage: Damage) -> Result<Clip> {
    let mut file = BoxFile::open(path)?;
    let survey = match Survey::of(&mut file) {
        Ok(survey) => survey,
        Err(Error::Contents { reason, .. }) => return ffmpeg::open(path, &reason, ffmpeg::FIRST, damage),
        Err(error) => return Err(error),
    };
    let Some(track) = survey.shown() else {
        return ffmpeg::open(path, "an MP4 without a video track that is decoded without ffmpeg", ffmpeg::FIRST, damage);
    };
    let refused = |reason: String| contents(path, &reason);
    let turn = Turn::of(&track.matrix, &survey.matrix);
    let turn = turn.ok_or_else(|| {
        refused("its pictures are to be turned by other than right angles, or in perspective, which is not supported".to_owned())
    })?;
    let stream = format!("i:{}", track.id);
    if let Some(other) = track.descriptions.iter().find(|description| !description.is_h264()) {
        let why = format!("the video codec \"{}\" is not decoded without ffmpeg", other.codec.escape_ascii());
        return ffmpeg::open(path, &why, &stream, damage);
    }
    let descriptions = track.descriptions.iter().map(|found| description(path, &file, found)).collect::<Result<Vec<_>>>()?;
    let samples = samples(&mut file, &survey, track)?;
    if damage == Damage::Refused {
        check_places(path, &samples, file.length)?;
    }
    let timeline = timeline(&mut file, (&survey, track), &samples, &descriptions)?.map_err(refused)?;
    let notes = Notes::default();
    if timeline.left_out > 0 {
        let (left_out, all) = (timeline.left_out, samples.len());
        notes.add(format!("Of {all} pictures {left_out} are left out: they need some before the clip's beginning."));
    }
    let facts = Facts { frame_rate: timeline.frame_rate, frame_count: Some(timeline.frames()), damage, notes: notes.clone() };
    let frames = H264Frames::new(path, file.into_file(), (descriptions, samples, timeline), (turn, stream), (damage, notes));
    Clip::from_frames(path, facts, Box::new(frames))
}

/// How samples are decoded.
fn description(path: &Path, file: &BoxFile, found: &survey::Description) -> Result<Description> {
    let bytes = found.avcc.as_ref().ok_or_else(|| file.damaged("its H.264 has no box \"avcC\""))?;
    let (length_size, units) = units(bytes).ok_or_else(|| file.damaged("its box \"avcC\" is shorter than it says"))?;
    Ok(Description::new(path, units, length_size, found.colours))
}

/// What an `avcC` box says: bytes of the length before each unit, and the parameter sets.
fn units(bytes: &[u8]) -> Option<(usize, Vec<&[u8]>)> {
    let mut words = Words(bytes);
    words.skip(4)?;
    let length_size = usize::from(words.u8()? & 3) + 1;
    let mut units = Vec::new();
    // Sequence parameter sets, then those of pictures.
    for mask in [0x1f, 0xff] {
        for _ in 0..words.u8()? & mask {
            let length = words.u16()?;
            units.push(words.0.get(..length.into())?);
            words.skip(length.into())?;
        }
    }
    Some((length_size, units))
}

fn check_places(path: &Path, samples: &[Sample], length: u64) -> Result<()> {
    let lies_beyond = |sample: &Sample| sample.offset.checked_add(sample.size.into()).is_none_or(|end| end > length);
    match samples.iter().position(lies_beyond) {
        None => Ok(()),
        Some(index) => {
            let reason = format!("truncated: picture {index} of {} lies beyond the end of the file", samples.len());
            Err(contents(path, &reason))
        }
    }
}

/// What is shown of a track.
fn timeline(
    file: &mut BoxFile,
    (survey, track): (&Survey, &Track),
    samples: &[Sample],
    descriptions: &[Description],
) -> Result<std::result::Result<Timeline, String>> {
    // Fragments are shown whole, as players have it: their edits only say when the clip begins.
    let edits = if survey.fragments.is_empty() { track.edits.as_slice() } else { &[] };
    let mut is_anew = |index: usize| -> Result<bool> {
        let Some(sample) = samples.get(index) else { return Ok(true) };
        let description = descriptions.get(sample.description as usize);
        let bytes = file.bytes(sample.offset..sample.offset.saturating_add(sample.size.into()))?;
        Ok(description.is_some_and(|description| begins_anew(&bytes, description.length_size)))
    };
    // Some writers do not mark the first picture, where decoding can start all the same.
    let first = if is_anew(0)? { 0 } else { samples.iter().position(|sample| sample.is_sync).unwrap_or(0) };
    let is_open = !is_anew(first)?;
    Ok(Timeline::of(samples, edits, (survey.timescale, track.timescale), (first, is_open)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_are_taken_out_of_their_box() {
        let bytes = [1, 100, 0, 10, 0xff, 0xe1, 0, 2, 0x67, 7, 2, 0, 1, 0x68, 0, 0, 9];
        assert_eq!(units(&bytes), Some((4, vec![&[0x67, 7][..], &[0x68], &[]])));
        assert_eq!(units(&bytes[..14]), None, "too short");
        assert_eq!(units(&[1, 100, 0, 10, 0]), None);
    }

    #[test]
    fn pictures_beyond_the_end_are_found() {
        let sample = |offset| Sample { offset, size: 3, time: 0, duration: 1, is_sync: true, description: 0 };
        assert!(check_places(Path::new("CLIP"), &[sample(0), sample(7)], 10).is_ok());
        let error = check_places(Path::new("CLIP"), &[sample(0), sample(8)], 10).expect_err("one byte too far").to_string();
        assert_eq!(error, "CLIP: truncated: picture 1 of 2 lies beyond the end of the file");
        assert!(check_places(Path::new("CLIP"), &[sample(u64::MAX)], 10).is_err());
    }
}

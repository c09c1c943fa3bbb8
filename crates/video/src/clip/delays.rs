//! How long the frames of animations are shown: read from GIF, APNG and WebP without decoding them.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

/// Longest delay that stands for another: browsers show such frames for a tenth of a second.
const NO_DELAY: f64 = 0.0101;
const USUAL_DELAY: f64 = 0.1;

/// Kind of an animation.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Gif,
    Apng,
    WebP,
}

/// Frames a second of all of an animation; `None` for a single frame.
pub(super) fn frame_rate(path: &Path, kind: Kind) -> Option<f64> {
    let (mut frames, mut seconds) = (0u32, 0.0);
    let mut add = |delay: f64| {
        frames += 1;
        seconds += if delay <= NO_DELAY { USUAL_DELAY } else { delay };
        true
    };
    let mut reader = BufReader::new(File::open(path).ok()?);
    // What an animation says until it breaks off counts; its decoder says what is wrong.
    let _ = match kind {
        Kind::Gif => gif(&mut reader, &mut add),
        Kind::Apng => apng(&mut reader, &mut add),
        Kind::WebP => webp(&mut reader, &mut add),
    };
    (frames > 1).then(|| f64::from(frames) / seconds)
}

/// Whether a GIF has several frames, or is damaged before its second one.
pub(super) fn is_animated_gif(path: &Path) -> bool {
    let mut frames = 0;
    let mut is_first = |_| {
        frames += 1;
        frames < 2
    };
    let whole = File::open(path).ok().and_then(|file| gif(&mut BufReader::new(file), &mut is_first));
    whole.is_none() || frames > 1
}

/// Calls `each` with the delay of every frame, seconds, until it says `false`. `None` if the file breaks off.
fn gif(reader: &mut BufReader<File>, each: &mut dyn FnMut(f64) -> bool) -> Option<()> {
    let colours = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let [.., flags, _, _] = read::<13>(reader)?;
    skip(reader, colours(flags))?;
    let mut delay = 0.0;
    loop {
        match read::<1>(reader) {
            Some([b'!']) => match read::<2>(reader)? {
                [0xf9, 4] => {
                    let [_, low, high, _] = read::<4>(reader)?;
                    delay = f64::from(u16::from_le_bytes([low, high])) / 100.0;
                    skip_blocks(reader)?;
                }
                [_, size] => {
                    skip(reader, size.into())?;
                    if size > 0 {
                        skip_blocks(reader)?;
                    }
                }
            },
            Some([b',']) => {
                let [.., flags] = read::<9>(reader)?;
                skip(reader, colours(flags) + 1)?;
                skip_blocks(reader)?;
                if !each(delay) {
                    return Some(());
                }
                delay = 0.0;
            }
            // Many a GIF has no trailer.
            Some([b';']) | None => return Some(()),
            Some(_) => return None,
        }
    }
}

fn skip_blocks(reader: &mut BufReader<File>) -> Option<()> {
    loop {
        match read::<1>(reader)? {
            [0] => return Some(()),
            [size] => skip(reader, size.into())?,
        }
    }
}

fn apng(reader: &mut BufReader<File>, each: &mut dyn FnMut(f64) -> bool) -> Option<()> {
    skip(reader, 8)?;
    loop {
        let [a, b, c, d, name @ ..] = read::<8>(reader)?;
        let size = i64::from(u32::from_be_bytes([a, b, c, d]));
        match &name {
            b"fcTL" if size == 26 => {
                let chunk = read::<26>(reader)?;
                let number = |at: usize| f64::from(u16::from_be_bytes([chunk[at], chunk[at + 1]]));
                let parts = if number(22) == 0.0 { 100.0 } else { number(22) };
                each(number(20) / parts);
                skip(reader, 4)?;
            }
            b"IEND" => return Some(()),
            _ => skip(reader, size + 4)?,
        }
    }
}

fn webp(reader: &mut BufReader<File>, each: &mut dyn FnMut(f64) -> bool) -> Option<()> {
    skip(reader, 12)?;
    loop {
        let [name @ .., a, b, c, d] = read::<8>(reader)?;
        let size = i64::from(u32::from_le_bytes([a, b, c, d]));
        let mut left = size + size % 2;
        if &name == b"ANMF" && size >= 16 {
            let [_, _, _, _, _, _, _, _, _, _, _, _, a, b, c, _] = read::<16>(reader)?;
            each(f64::from(u32::from_le_bytes([a, b, c, 0])) / 1000.0);
            left -= 16;
        }
        skip(reader, left)?;
    }
}

fn read<const N: usize>(reader: &mut BufReader<File>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn skip(reader: &mut BufReader<File>, count: i64) -> Option<()> {
    reader.seek_relative(count).ok()
}

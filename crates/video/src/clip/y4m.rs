//! Raw y4m clips.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use image::RgbImage;
use orthoformer::{Error, Result};
use y4m::Colorspace;
use yuv::{YuvRange, YuvStandardMatrix};

use super::colours::Colours;
use super::planes::{Sampling, to_rgb};
use super::shield::shielded;
use super::{Clip, Damage, Facts, Frames, MAX_SIDE, contents};

/// Opens a y4m file.
pub(super) fn open(path: &Path, damage: Damage) -> Result<Clip> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    from_reader(path, BufReader::new(file), damage, None)
}

/// Decodes y4m from a reader. The matrix is for those who know it: y4m has no word for it.
pub(super) fn from_reader(
    path: &Path,
    reader: impl Read + 'static,
    damage: Damage,
    matrix: Option<YuvStandardMatrix>,
) -> Result<Clip> {
    let bytes_read = Rc::new(Cell::new(0));
    let reader = CountingReader { reader, bytes_read: bytes_read.clone() };
    let damaged = |error: y4m::Error| contents(path, &format!("damaged y4m header: {error}"));
    let decoder = shielded(path, || y4m::Decoder::new(reader).map_err(damaged))?;
    let (width, height) = (decoder.get_width(), decoder.get_height());
    if [width, height].iter().any(|&side| side == 0 || side > MAX_SIDE as usize) {
        return Err(contents(path, &format!("its frames are {width} x {height}; sides of 1 to {MAX_SIDE} pixels are supported")));
    }
    if decoder.get_bit_depth() != 8 {
        return Err(contents(path, &format!("{} bits a sample; 8 are supported", decoder.get_bit_depth())));
    }
    let full = b"XCOLORRANGE=FULL";
    let is_full = decoder.get_raw_params().split(|&byte| byte == b' ').any(|word| word == full);
    let colours = Colours { range: if is_full { YuvRange::Full } else { YuvRange::Limited }, matrix };
    let rate = decoder.get_framerate();
    let frame_rate = (rate.num > 0 && rate.den > 0).then(|| rate.num as f64 / rate.den as f64);
    let frames: Frames = Box::new(Y4mFrames { decoder: Some(decoder), colours, bytes_read, path: path.to_owned() });
    Clip::from_frames(path, Facts { frame_rate, damage, ..Facts::default() }, frames)
}

/// Counts what passes: the decoder calls a frame that is cut off the end of the stream, and this tells the two apart.
struct CountingReader<R> {
    reader: R,
    bytes_read: Rc<Cell<u64>>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bytes_read.set(self.bytes_read.get() + count as u64);
        Ok(count)
    }
}

struct Y4mFrames<R: Read> {
    /// `None` once the stream has ended or broken.
    decoder: Option<y4m::Decoder<CountingReader<R>>>,
    colours: Colours,
    bytes_read: Rc<Cell<u64>>,
    path: PathBuf,
}

impl<R: Read> Iterator for Y4mFrames<R> {
    type Item = Result<RgbImage>;

    fn next(&mut self) -> Option<Self::Item> {
        let decoder = self.decoder.as_mut()?;
        let (width, height, colour) = (decoder.get_width() as u32, decoder.get_height() as u32, decoder.get_colorspace());
        let path = self.path.clone();
        let (colours, before) = (self.colours, self.bytes_read.get());
        let frame = shielded(&path, || match decoder.read_frame() {
            Ok(frame) => {
                let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()];
                to_rgb(&path, planes, (width, height), sampling(colour), colours).map(Some)
            }
            Err(y4m::Error::EOF) if self.bytes_read.get() == before => Ok(None),
            Err(y4m::Error::EOF) => Err(contents(&path, "truncated: it ends inside a frame")),
            Err(error) => Err(contents(&path, &format!("damaged y4m frame: {error}"))),
        });
        if matches!(frame, Ok(Some(_))) {
            return frame.transpose();
        }
        self.decoder = None;
        frame.transpose()
    }
}

fn sampling(colour: Colorspace) -> Sampling {
    match colour {
        Colorspace::Cmono | Colorspace::Cmono12 => Sampling::Mono,
        Colorspace::C422 | Colorspace::C422p10 | Colorspace::C422p12 => Sampling::Yuv422,
        Colorspace::C444 | Colorspace::C444p10 | Colorspace::C444p12 => Sampling::Yuv444,
        _ => Sampling::Yuv420,
    }
}

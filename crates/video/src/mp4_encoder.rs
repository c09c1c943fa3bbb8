//! MP4 files, encoded by the `ffmpeg` program from raw frames on its standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};

use image::RgbImage;
use orthoformer::{Error, Result};
use tempfile::TempPath;

use crate::clip::ffmpeg::{complaint, complaints_file, program};
use crate::files::stream_whole;

/// Colours as players expect them of H.264: BT.709 in limited range, converted to and said so. Frames of odd sides get a black column or row, as
/// chroma has half the size.
const FILTERS: &str = "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,\
    setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv";
const CODEC: [&str; 16] = [
    "-c:v",
    "libx264",
    "-pix_fmt",
    "yuv420p",
    "-colorspace",
    "bt709",
    "-color_primaries",
    "bt709",
    "-color_trc",
    "bt709",
    "-color_range",
    "tv",
    "-movflags",
    "+faststart",
    "-f",
    "mp4",
];

/// Makes sure that ffmpeg is there and encodes H.264: said before the work rather than after it.
pub(crate) fn check(path: &Path) -> Result<()> {
    let listed = program()
        .args(["-nostdin", "-hide_banner", "-v", "error", "-encoders"])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| not_started(path, source))?;
    if String::from_utf8_lossy(&listed.stdout).contains(" libx264 ") {
        return Ok(());
    }
    Err(contents(path, "the ffmpeg that is installed has no libx264, which encodes MP4".to_owned()))
}

fn not_started(path: &Path, source: std::io::Error) -> Error {
    if source.kind() == ErrorKind::NotFound {
        let reason = "MP4 is encoded by the program ffmpeg, which is not installed. Pictures of the frames need no other program";
        return contents(path, reason.to_owned());
    }
    Error::File { action: "start ffmpeg for", path: path.to_owned(), source }
}

fn contents(path: &Path, reason: String) -> Error {
    Error::Contents { path: path.to_owned(), reason }
}

/// ffmpeg at work. What it makes is put in place by [`Encoder::finish`]; nothing is left behind without that.
pub(crate) struct Encoder {
    child: Child,
    /// What ffmpeg reads frames from; `None` once there are no more.
    frames: Option<ChildStdin>,
    complaints: File,
    made: TempPath,
    path: PathBuf,
}

impl Encoder {
    /// Starts ffmpeg for frames of this size, so many a second: 0.1 to 1000.
    ///
    /// # Errors
    /// [`Error::Contents`] if ffmpeg is not installed, [`Error::File`] if it cannot be started.
    pub fn start(path: &Path, (width, height): (u32, u32), rate: f64) -> Result<Self> {
        let made = tempfile::Builder::new().suffix(".mp4").tempfile();
        let made = made.map_err(Error::file("make a temporary file in", std::env::temp_dir()))?.into_temp_path();
        let complaints = complaints_file()?;
        let mut output = OsString::from("file:");
        output.push(&made);
        let mut child = program()
            .args(["-nostdin", "-y", "-v", "level+error", "-xerror", "-f", "rawvideo", "-pix_fmt", "rgb24"])
            .args(["-s", &format!("{width}x{height}"), "-r", &rate.clamp(0.1, 1000.0).to_string(), "-i", "-", "-vf", FILTERS])
            .args(CODEC)
            .arg(output)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(complaints.for_ffmpeg)
            .spawn()
            .map_err(|source| not_started(path, source))?;
        let frames = child.stdin.take();
        Ok(Self { child, frames, complaints: complaints.for_us, made, path: path.to_owned() })
    }

    /// Encodes the next frame, which has to have the size that was said.
    ///
    /// # Errors
    /// [`Error::Contents`] with ffmpeg's words if it has given up, [`Error::File`] if it cannot be reached.
    pub fn push(&mut self, frame: &RgbImage) -> Result<()> {
        let Some(frames) = &mut self.frames else { return self.verdict() };
        match frames.write_all(frame.as_raw()) {
            Ok(()) => Ok(()),
            // A program that has ended says better why than a broken pipe does.
            Err(source) => {
                self.verdict()?;
                Err(Error::File { action: "hand a frame to ffmpeg for", path: self.path.clone(), source })
            }
        }
    }

    /// Encodes what is left, and puts the file in place.
    ///
    /// # Errors
    /// [`Error::Contents`] with ffmpeg's words if it failed, [`Error::File`] if the file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.verdict()?;
        let mut made = File::open(&self.made).map_err(Error::file("read", self.made.to_path_buf()))?;
        stream_whole(&self.path, |file| std::io::copy(&mut made, file).map(drop).map_err(Error::file("write", &self.path)))
    }

    /// Ends the frames: what ffmpeg says about how it went.
    fn verdict(&mut self) -> Result<()> {
        self.frames = None;
        let status = self.child.wait().map_err(Error::file("wait for ffmpeg on", &self.path))?;
        let error = complaint(&self.complaints).map_err(Error::file("read ffmpeg's complaint on", &self.path))?;
        if status.success() && error.is_none() {
            return Ok(());
        }
        Err(contents(&self.path, format!("ffmpeg says: {}", error.unwrap_or_else(|| status.to_string()))))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Where something went wrong ffmpeg still waits for frames; it may have ended by itself just now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffmpeg_cannot_encode_is_refused_in_its_words_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.mp4");
        if let Err(error) = check(&path) {
            println!("skipped: {error}");
            return;
        }
        let encode = |size: (u32, u32), frames: &[RgbImage]| {
            let mut encoder = Encoder::start(&path, size, 10.0)?;
            frames.iter().try_for_each(|frame| encoder.push(frame))?;
            encoder.finish()
        };
        // A frame that is cut off, and a size that there is not.
        let small = RgbImage::new(3, 5);
        for (size, count) in [((300, 500), 1), ((0, 5), 9)] {
            let error = encode(size, &vec![small.clone(); count]).expect_err("must be refused").to_string();
            assert!(error.contains("ffmpeg says: "), "{error}");
            assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0, "nothing is left behind");
        }
        encode((3, 5), &[small]).expect("one frame of odd sides is fine");
        assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 1);
    }
}

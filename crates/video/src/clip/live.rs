//! Clips that are read as they come and may never end: y4m from a pipe, cameras.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdout};

use orthoformer::{Error, Result};
use yuv::YuvStandardMatrix;

use super::ffmpeg::{FIRST, Source, complaint, program};
use super::{Clip, Damage, contents, y4m};

impl Clip {
    /// Whether a file or stream that begins like this is y4m.
    pub fn is_y4m(head: &[u8]) -> bool {
        head.starts_with(b"YUV4MPEG2")
    }

    /// Reads y4m as it comes, no further than frames are asked for. `name` is for messages. Where damage is left out, frames end ahead of it.
    ///
    /// # Errors
    /// [`Error::Contents`] for what is no y4m, or of a kind that cannot be decoded here.
    pub fn read_y4m(name: &Path, reader: impl Read + 'static, damage: Damage) -> Result<Self> {
        y4m::from_reader(name, reader, damage, None)
    }

    /// Opens a clip that may never end: a [camera](is_camera), else those of [`Clip::open_with`].
    ///
    /// # Errors
    /// Those of [`Clip::open_with`]; [`Error::Contents`] with ffmpeg's words for a camera that cannot be opened.
    pub fn open_endless(path: &Path, damage: Damage) -> Result<Self> {
        if is_camera(path) { live(path, &camera_input(path), damage) } else { Self::open_with(path, damage) }
    }

    /// An error that names the clip.
    pub(crate) fn refused(&self, reason: &str) -> Error {
        contents(&self.path, reason)
    }
}

/// The matrix and range that ffmpeg is asked for, as y4m has no word for the former.
const COLOURS: &str = "scale=out_color_matrix=bt601:out_range=tv";

/// Opens a camera with ffmpeg, which writes y4m to a pipe: nothing can be decoded ahead to learn what frames are like.
fn live(device: &Path, input: &[OsString], damage: Damage) -> Result<Clip> {
    let mut command = program();
    command.args(["-nostdin", "-v", "level+error"]).args(input);
    command.args(["-map", "0:v:0", "-vf", COLOURS, "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]);
    let source = Source::new(device, "a camera is opened by ffmpeg", FIRST, damage);
    let (mut child, complaints) = source.start(command)?;
    let output = child.stdout.take().ok_or_else(|| contents(device, "ffmpeg was started without a pipe"))?;
    let camera = Camera { child, output, complaints: complaints.for_us };
    y4m::from_reader(device, camera, damage, Some(YuvStandardMatrix::Bt601))
}

/// What ffmpeg writes. Its words are the error where a camera fails.
struct Camera {
    child: Child,
    output: ChildStdout,
    complaints: File,
}

impl Read for Camera {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.output.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.child.wait()?.success() {
            let words = complaint(&self.complaints)?.unwrap_or_else(|| "it failed".to_owned());
            return Err(std::io::Error::other(format!("ffmpeg says: {words}")));
        }
        Ok(count)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // It goes on for ever by itself, or has ended just now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How ffmpeg is told to open a camera.
fn camera_input(device: &Path) -> Vec<OsString> {
    vec!["-f".into(), "v4l2".into(), "-i".into(), device.into()]
}

/// Whether a path is that of a camera: a video device of Linux, under whichever name.
pub fn is_camera(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::FileTypeExt as _;
        let is_video = |own: &Path| own.to_str().is_some_and(|own| own.starts_with("/dev/video"));
        let is_device = |own: &Path| own.metadata().is_ok_and(|about| about.file_type().is_char_device());
        path.canonicalize().is_ok_and(|own| is_video(&own) && is_device(&own))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        false
    }
}

/// Refuses a camera where a clip has to end.
pub(super) fn refuse_camera(path: &Path) -> Result<()> {
    if is_camera(path) {
        return Err(contents(path, "a camera has no end: it can be classified in windows of time (--every)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_fails_is_refused_in_ffmpegs_words() {
        let device = Path::new("/nonexistent/camera");
        let error = live(device, &camera_input(device), Damage::Refused).expect_err("there is none").to_string();
        assert!(error.contains("ffmpeg says: ") || error.contains("that program is not installed"), "{error}");
    }

    #[test]
    fn colours_are_those_of_the_camera_whatever_its_height() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("camera.avi");
        for (size, coder, matrix) in [
            ("64x48", "mjpeg", "bt601"),
            ("1280x720", "mjpeg", "bt601"),
            ("1280x720", "ffv1", "bt709"),
            ("1280x720", "rawvideo", "bt601"),
        ] {
            let colour = format!("color=0xd02858:size={size}:rate=5:duration=1,format=rgb24");
            let filter = format!("scale=out_color_matrix={matrix}");
            let mut command = program();
            command.args(["-v", "error", "-y", "-f", "lavfi", "-i", &colour, "-vf", &filter, "-pix_fmt"]);
            command.args([if coder == "mjpeg" { "yuvj422p" } else { "yuv420p" }, "-c:v", coder, "-q:v", "2"]);
            // AVI itself says nothing of colours; the stream of ffv1 does not either.
            match command.arg(&path).status() {
                Ok(status) => assert!(status.success()),
                Err(_) => return println!("ffmpeg is not installed: cameras need it"),
            }
            let said: &[&str] = if matrix == "bt709" { &["-colorspace", "bt709"] } else { &[] };
            let input: Vec<OsString> = said.iter().map(OsString::from).chain(["-i".into(), path.clone().into()]).collect();
            let frames: Vec<_> = live(&path, &input, Damage::Refused).expect("opens").collect::<Result<_>>().expect("decodes");
            let found = frames[4].get_pixel(9, 9).0;
            let apart = found.iter().zip([208, 40, 88]).map(|(&found, meant)| found.abs_diff(meant)).max();
            assert!(frames.len() == 5 && apart <= Some(4), "{size} {coder}: {found:?}");
        }
    }

    #[test]
    fn cameras_are_video_devices() {
        assert!(["/dev/null", "/dev/zero", "/dev", "/dev/video", "video0"].iter().all(|path| !is_camera(Path::new(path))));
        assert_eq!(camera_input(Path::new("/dev/video0")), ["-f", "v4l2", "-i", "/dev/video0"]);
    }
}

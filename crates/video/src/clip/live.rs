//! Clips that are read as they come and may never end: y4m from a pipe, cameras.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdout};

use orthoformer::{Error, Result};

use super::ffmpeg::{FIRST, Source, complaint, program};
use super::{Clip, Damage, contents, y4m};

impl Clip {
    /// Whether a file or stream that begins like this is y4m.
    pub fn is_y4m(head: &[u8]) -> bool {
        head.starts_with(b"YUV4MPEG2")
    }

    /// Reads y4m as it comes, no further than frames are asked for. `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Contents`] for what is no y4m, or of a kind that cannot be decoded here.
    pub fn read_y4m(name: &Path, reader: impl Read + 'static) -> Result<Self> {
        y4m::from_reader(name, reader, Damage::Refused)
    }

    /// Opens a clip that may never end: a [camera](is_camera), else those of [`Clip::open_with`].
    ///
    /// # Errors
    /// Those of [`Clip::open_with`]; [`Error::Contents`] with ffmpeg's words for a camera that cannot be opened.
    pub fn open_endless(path: &Path, damage: Damage) -> Result<Self> {
        if is_camera(path) { camera(path) } else { Self::open_with(path, damage) }
    }

    /// An error that names the clip.
    pub(crate) fn refused(&self, reason: &str) -> Error {
        contents(&self.path, reason)
    }
}

/// Opens a camera with ffmpeg, which writes y4m to a pipe: nothing can be decoded ahead to learn what frames are like.
fn camera(device: &Path) -> Result<Clip> {
    let mut command = program();
    command.args(["-nostdin", "-v", "level+error"]).args(camera_input(device));
    command.args(["-map", "0:v:0", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]);
    let source = Source::new(device, "a camera is opened by ffmpeg", FIRST, Damage::Refused);
    let (mut child, complaints) = source.start(command)?;
    let output = child.stdout.take().ok_or_else(|| contents(device, "ffmpeg was started without a pipe"))?;
    y4m::from_reader(device, Camera { child, output, complaints: complaints.for_us }, Damage::Refused)
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
        let error = camera(Path::new("/nonexistent/camera")).expect_err("there is none").to_string();
        assert!(error.contains("ffmpeg says: ") || error.contains("that program is not installed"), "{error}");
    }

    #[test]
    fn cameras_are_video_devices() {
        assert!(["/dev/null", "/dev/zero", "/dev", "/dev/video", "video0"].iter().all(|path| !is_camera(Path::new(path))));
        assert_eq!(camera_input(Path::new("/dev/video0")), ["-f", "v4l2", "-i", "/dev/video0"]);
    }
}

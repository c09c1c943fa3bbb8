//! Clips that are read as they come and may never end: y4m from a pipe, cameras.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use orthoformer::{Error, Result};

use super::{Clip, contents, ffmpeg, y4m};

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
        y4m::from_reader(name, reader, Box::new(|| Ok(())))
    }

    /// Opens a clip that may never end: a [camera](is_camera), else those of [`Clip::open`].
    ///
    /// # Errors
    /// Those of [`Clip::open`]; [`Error::Contents`] with ffmpeg's words for a camera that cannot be opened.
    pub fn open_endless(path: &Path) -> Result<Self> {
        if is_camera(path) {
            return ffmpeg::open_as(path, "a camera is opened by ffmpeg", &camera_input(path));
        }
        Self::open(path)
    }

    /// An error that names the clip.
    pub(crate) fn refused(&self, reason: &str) -> Error {
        contents(&self.path, reason)
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
    fn cameras_are_video_devices() {
        assert!(["/dev/null", "/dev/zero", "/dev", "/dev/video", "video0"].iter().all(|path| !is_camera(Path::new(path))));
        assert_eq!(camera_input(Path::new("/dev/video0")), ["-f", "v4l2", "-i", "/dev/video0"]);
    }
}

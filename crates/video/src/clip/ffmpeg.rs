//! Clips that the `ffmpeg` program decodes, where it is installed: it writes raw y4m to a pipe.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use orthoformer::{Error, Result};

use super::{Clip, contents, y4m};

/// Opens a clip with ffmpeg; `why` says what made it necessary.
pub(super) fn open(path: &Path, why: &str) -> Result<Clip> {
    let mut file = OsString::from("file:");
    file.push(path);
    // The first damage ends it: half a clip is not a clip. Files only: a playlist must not make ffmpeg reach for the network.
    let mut input = ["-xerror", "-protocol_whitelist", "file,pipe", "-i"].map(OsString::from).to_vec();
    input.push(file);
    open_as(path, why, &input)
}

/// Opens with ffmpeg what its options for an input say.
pub(super) fn open_as(path: &Path, why: &str, input: &[OsString]) -> Result<Clip> {
    let complaints = complaints_file()?;
    let started = program()
        .args(["-nostdin", "-v", "level+error"])
        .args(input)
        .args(["-map", "0:v:0", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(complaints.for_ffmpeg)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = format!(
                "{why}, and that program is not installed. Without it: MP4 with H.264, GIF, APNG, WebP, y4m, or a folder of pictures"
            );
            return Err(contents(path, &reason));
        }
        Err(error) => return Err(Error::File { action: "start ffmpeg for", path: path.to_owned(), source: error }),
    };
    let no_pipe = || contents(path, "ffmpeg was started without a pipe");
    let output = child.stdout.take().ok_or_else(no_pipe)?;
    let process =
        Rc::new(RefCell::new(Process { child, complaints: complaints.for_us, path: path.to_owned(), why: why.to_owned() }));
    let (owner, reader) = (process.clone(), Output { output, _process: process });
    y4m::from_reader(path, reader, Box::new(move || owner.borrow_mut().verdict()))
}

/// The program. Ctrl-C in a terminal is for this one alone, which ends ffmpeg when it has no more use for it.
pub(crate) fn program() -> Command {
    let mut command = Command::new("ffmpeg");
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// A file for what ffmpeg has to say, not a pipe: nobody empties a pipe while frames pass.
pub(crate) struct Complaints {
    pub for_ffmpeg: File,
    pub for_us: File,
}

/// Makes an empty one.
pub(crate) fn complaints_file() -> Result<Complaints> {
    let made = tempfile::tempfile().and_then(|for_us| Ok(Complaints { for_ffmpeg: for_us.try_clone()?, for_us }));
    made.map_err(Error::file("make a temporary file in", std::env::temp_dir()))
}

/// The first error that ffmpeg complains about when it is told `-v level+error`.
pub(crate) fn complaint(mut complaints: &File) -> std::io::Result<Option<String>> {
    let mut said = String::new();
    complaints.rewind()?;
    complaints.take(1 << 16).read_to_string(&mut said)?;
    // A line is "[part @ address] [level] words".
    let words = |line: &str, level: &str| line.split_once(level).map(|(_, words)| words.trim().to_owned());
    Ok(said.lines().find_map(|line| words(line, "[error]").or_else(|| words(line, "[fatal]"))))
}

/// ffmpeg's output; keeps the process as long as somebody reads.
struct Output {
    output: std::process::ChildStdout,
    _process: Rc<RefCell<Process>>,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.output.read(buffer)
    }
}

struct Process {
    child: Child,
    complaints: File,
    path: PathBuf,
    why: String,
}

impl Process {
    /// Once the output has ended: what ffmpeg says about how it went.
    fn verdict(&mut self) -> Result<()> {
        let status = self.child.wait().map_err(Error::file("wait for ffmpeg on", &self.path))?;
        let error = complaint(&self.complaints).map_err(Error::file("read ffmpeg's complaint on", &self.path))?;
        // A clip that ends too early is an error that ffmpeg does not fail for.
        if status.success() && error.is_none() {
            return Ok(());
        }
        let verdict = error.unwrap_or_else(|| status.to_string());
        let reason = format!("{}, and ffmpeg says: {verdict}", self.why);
        Err(contents(&self.path, &reason))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A clip that is not read to its end leaves ffmpeg running; it may have ended by itself just now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

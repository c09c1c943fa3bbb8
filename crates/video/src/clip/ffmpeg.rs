//! Clips that the `ffmpeg` program decodes, where it is installed: it writes raw RGB frames to a pipe.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::rc::Rc;

use image::RgbImage;
use orthoformer::{Error, Result};

use super::probe::{Probe, probe};
use super::{Clip, Counted, Damage, Facts, Notes, contents};

/// The first stream of moving pictures, as ffmpeg calls it: no cover.
pub(super) const FIRST: &str = "V:0";
/// Times of frames, finer than any stream has them, each after the one before: muxers refuse others, even those that write none.
const TIMES: &str = "settb=1/1000000,setpts=if(isnan(PREV_OUTPTS)\\,PTS\\,max(PTS\\,PREV_OUTPTS+1))";
const UNIT: &str = "1:1000000";
/// Ticks of those in a second.
const TICKS: f64 = 1e6;
/// Most of what ffmpeg says that is read.
const MOST_WORDS: u64 = 1 << 20;

/// A stream that ffmpeg is to decode.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub path: PathBuf,
    /// What made ffmpeg necessary.
    pub why: String,
    /// What ffmpeg calls the stream.
    stream: String,
    pub damage: Damage,
}

/// Opens a clip with ffmpeg; `why` says what made it necessary.
pub(super) fn open(path: &Path, why: &str, stream: &str, damage: Damage) -> Result<Clip> {
    let source = Source::new(path, why, stream, damage);
    let (probe, notes) = (Rc::new(probe(&source)?), Notes::default());
    if probe.begins_late() {
        notes.add("It begins between key frames: what cannot be decoded before the first of them is left out.".to_owned());
    }
    let size = probe.size;
    super::check_size(path, size)?;
    let frames = RawFrames { run: Some(source.decode(&probe, &notes)?), size };
    let facts = Facts { frame_rate: probe.frame_rate, frame_count: None, damage, notes: notes.clone() };
    let clip = Clip::from_frames(path, facts, Box::new(frames))?;
    Ok(Clip { counter: Some(Box::new(move || source.count(&probe, &notes))), ..clip })
}

impl Source {
    pub fn new(path: &Path, why: &str, stream: &str, damage: Damage) -> Self {
        Self { path: path.to_owned(), why: why.to_owned(), stream: stream.to_owned(), damage }
    }

    /// A command that reads the stream. Local files only: a playlist must not make ffmpeg reach for the network.
    pub fn command(&self, level: &str, ahead: &[&str]) -> Command {
        let mut input = std::ffi::OsString::from("file:");
        input.push(&self.path);
        let mut command = program();
        command.args(["-nostdin", "-nostats", "-v"]).arg(format!("repeat+level+{level}")).args(ahead);
        command.args(["-protocol_whitelist", "file,pipe", "-i"]).arg(input).args(["-map"]).arg(format!("0:{}", self.stream));
        command
    }

    /// Starts a command whose output is read.
    pub fn start(&self, mut command: Command) -> Result<(Child, Complaints)> {
        let complaints = complaints_file()?;
        let for_ffmpeg = complaints.for_ffmpeg.try_clone().map_err(Error::file("open again", &self.path))?;
        match command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(for_ffmpeg).spawn() {
            Ok(child) => Ok((child, complaints)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(self.contents(
                "and that program is not installed. Without it: MP4 with H.264, GIF, APNG, WebP, y4m, or a folder of pictures",
            )),
            Err(error) => Err(Error::File { action: "start ffmpeg for", path: self.path.clone(), source: error }),
        }
    }

    /// What is wrong with the file, after what made ffmpeg necessary.
    pub fn contents(&self, what: &str) -> Error {
        contents(&self.path, &format!("{}, {what}", self.why))
    }

    /// A run over the whole stream, whose output is written as `output` says.
    fn run(&self, probe: &Rc<Probe>, notes: &Notes, output: &[&str]) -> Result<Run> {
        // The first damage ends it: half a clip is not a clip.
        let (level, ahead): (&str, &[&str]) = match self.damage {
            Damage::LeftOut => ("verbose", &[]),
            // What is said before the first frame is known, and said again in the same words by one thread.
            Damage::Refused if probe.begins_late() => ("warning", &["-threads", "1"]),
            Damage::Refused => ("error", &["-xerror"]),
        };
        let mut command = self.command(level, ahead);
        command.args(output);
        let (mut child, complaints) = self.start(command)?;
        let output = child.stdout.take().ok_or_else(|| contents(&self.path, "ffmpeg was started without a pipe"))?;
        let output = BufReader::with_capacity(1 << 16, output);
        Ok(Run {
            child,
            output,
            complaints: complaints.for_us,
            source: self.clone(),
            probe: probe.clone(),
            notes: notes.clone(),
            frames: 0,
        })
    }

    /// Starts decoding. ffmpeg turns pictures as the file says, brings them to the size of the first, and makes RGB of what the stream's colours are.
    fn decode(&self, probe: &Rc<Probe>, notes: &Notes) -> Result<Run> {
        let (width, height) = probe.size;
        let colours = probe.matrix.map(|matrix| format!(":in_color_matrix={matrix}")).unwrap_or_default();
        let filters = format!("scale={width}:{height}:flags=bicubic{colours},format=rgb24,{TIMES}");
        let output = [probe.each_frame_once, "passthrough", "-vf", &filters, "-enc_time_base", UNIT, "-f", "rawvideo", "-"];
        self.run(probe, notes, &output)
    }

    /// Counts the frames, and how long they take: a line of ffmpeg's for each of them.
    fn count(&self, probe: &Rc<Probe>, notes: &Notes) -> Result<Counted> {
        let passthrough = [probe.each_frame_once, "passthrough", "-vf", TIMES, "-enc_time_base", UNIT];
        let output = [&passthrough[..], &["-c:v", "wrapped_avframe", "-f", "framecrc", "-"]].concat();
        let mut run = self.run(probe, notes, &output)?;
        let (mut start, mut end) = (None, 0.0);
        let mut line = String::new();
        while run.output.read_line(&mut line).map_err(Error::file("read ffmpeg's output on", &self.path))? > 0 {
            if let Some([time, duration]) = time_and_duration(&line) {
                run.frames += 1;
                start = start.or(Some(time));
                end = time + duration;
            }
            line.clear();
        }
        run.verdict()?;
        Ok(Counted { frames: run.frames, frame_rate: start.and_then(|start| probe.mean_rate(run.frames, end - start)) })
    }
}

/// When a frame is shown and for how long, seconds, of a line such as `0, 40000, 40000, 40000, 472, 0x00ec1502`: stream, times of decoding and showing,
/// duration, bytes, sum of them. Lines about the stream begin with `#`.
fn time_and_duration(line: &str) -> Option<[f64; 2]> {
    let mut columns = line.split(',').map(str::trim).skip(2).map(|column| column.parse::<f64>().ok());
    let [time, duration] = [columns.next()??, columns.next()??];
    Some([time, duration].map(|ticks| ticks / TICKS))
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
pub(crate) fn complaint(complaints: &File) -> std::io::Result<Option<String>> {
    Ok(all_words(complaints)?.lines().find_map(error_of).map(str::to_owned))
}

/// The words of a line that is an error, "[part @ address] [level] words".
pub(super) fn error_of(line: &str) -> Option<&str> {
    let words = |level: &str| line.split_once(level).map(|(_, words)| words.trim());
    let error = words("[error]").or_else(|| words("[fatal]")).or_else(|| words("[panic]"));
    // Where it is not told to stop at them, these are warnings.
    error.or_else(|| words("[warning]").filter(|words| words.contains("corrupt decoded frame")))
}

/// What ffmpeg has said so far.
pub(super) fn all_words(mut complaints: &File) -> std::io::Result<String> {
    let mut said = Vec::new();
    complaints.rewind()?;
    complaints.take(MOST_WORDS).read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// A run of ffmpeg over a stream.
struct Run {
    child: Child,
    output: BufReader<ChildStdout>,
    complaints: File,
    source: Source,
    probe: Rc<Probe>,
    notes: Notes,
    /// Frames that have come.
    frames: usize,
}

impl Run {
    /// Once the output has ended: what ffmpeg says about how it went.
    fn verdict(&mut self) -> Result<()> {
        let path = &self.source.path;
        let status = self.child.wait().map_err(Error::file("wait for ffmpeg on", path))?;
        let said = all_words(&self.complaints).map_err(Error::file("read ffmpeg's complaint on", path))?;
        // A clip that ends too early is an error that ffmpeg does not fail for.
        let complaint = self.probe.first_new(&said).map(str::to_owned);
        let complaint = complaint.or_else(|| (!status.success()).then(|| status.to_string()));
        let Some(complaint) = complaint else { return Ok(()) };
        if self.source.damage == Damage::Refused || self.frames == 0 {
            return Err(self.source.contents(&format!("and ffmpeg says: {complaint}")));
        }
        let frames = self.frames;
        let packets = packets(&said).map(|packets| format!(" of {packets} packets")).unwrap_or_default();
        self.notes.add(format!("Damaged: ffmpeg makes {frames} frames{packets}, and says first: {complaint}."));
        Ok(())
    }
}

/// How many packets ffmpeg has read, as it says in the end.
fn packets(said: &str) -> Option<u64> {
    let line = said.lines().rev().find(|line| line.contains("Input stream #0:") && line.contains(" packets read"))?;
    line.split_once(" packets read")?.0.rsplit(' ').next()?.parse().ok()
}

impl Drop for Run {
    fn drop(&mut self) {
        // A clip that is not read to its end leaves ffmpeg running; it may have ended by itself just now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Frames out of a pipe.
struct RawFrames {
    /// `None` once the stream has ended or broken.
    run: Option<Run>,
    size: (u32, u32),
}

impl Iterator for RawFrames {
    type Item = Result<RgbImage>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.run.as_mut()?.frame(self.size).transpose();
        if !matches!(frame, Some(Ok(_))) {
            self.run = None;
        }
        frame
    }
}

impl Run {
    fn frame(&mut self, (width, height): (u32, u32)) -> Result<Option<RgbImage>> {
        let length = 3 * u64::from(width) * u64::from(height);
        let mut pixels = Vec::with_capacity(length as usize);
        let read = self.output.by_ref().take(length).read_to_end(&mut pixels);
        read.map_err(Error::file("read ffmpeg's output on", &self.source.path))?;
        if let Some(frame) = RgbImage::from_raw(width, height, pixels) {
            self.frames += 1;
            return Ok(Some(frame));
        }
        self.verdict().map(|()| None)
    }
}

//! What ffmpeg says of a stream before it is decoded: by its first frame, as the stream's header may leave out, or get wrong, what frames are like.

use std::collections::BTreeMap;

use orthoformer::{Error, Result};

use super::contents;
use super::ffmpeg::{Source, all_words, error_of};

/// The option that hands out every frame once, whenever it is shown, and what older versions call it.
const EACH_FRAME_ONCE: [&str; 2] = ["-fps_mode", "-vsync"];

/// What is known of a stream.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Probe {
    /// Size of the first frame, turned as it is shown.
    pub size: (u32, u32),
    /// The matrix of its colours, as ffmpeg's filters call it; `None` for RGB.
    pub matrix: Option<&'static str>,
    /// Frames a second, as the stream says or ffmpeg guesses.
    pub frame_rate: Option<f64>,
    /// How often ffmpeg complains of each thing before the first frame.
    leading: BTreeMap<String, usize>,
    /// The option for every frame once.
    pub each_frame_once: &'static str,
}

/// Decodes the first frame.
///
/// # Errors
/// [`Error::Contents`] if ffmpeg is not there or cannot, [`Error::File`] if it cannot be started.
pub(super) fn probe(source: &Source) -> Result<Probe> {
    let mut said = String::new();
    for each_frame_once in EACH_FRAME_ONCE {
        let mut command = source.command("info", &["-threads", "1"]);
        command.args([each_frame_once, "passthrough", "-vf", "showinfo", "-frames:v", "1", "-f", "null", "-"]);
        let (mut child, complaints) = source.start(command)?;
        child.wait().map_err(Error::file("wait for ffmpeg on", &source.path))?;
        said = all_words(&complaints.for_us).map_err(Error::file("read ffmpeg's words on", &source.path))?;
        // Versions know one or the other.
        if !said.contains(&format!("Unrecognized option '{}'", each_frame_once.trim_start_matches('-'))) {
            return Probe::read(&said, each_frame_once, source);
        }
    }
    Err(no_frames(&said, source))
}

fn no_frames(said: &str, source: &Source) -> Error {
    let complaint = said.lines().find_map(error_of).unwrap_or("there are no frames");
    source.contents(&format!("and ffmpeg says: {complaint}"))
}

impl Probe {
    fn read(said: &str, each_frame_once: &'static str, source: &Source) -> Result<Self> {
        let is_frame = |line: &str| line.contains("showinfo") && line.contains(" pts_time:") && field(line, "s").is_some();
        let decoder = said.lines().find_map(|line| line.split_once("-> #0:0 (")?.1.split([' ', ')']).next()).unwrap_or_default();
        let mut lines = said.lines();
        let mut leading = BTreeMap::new();
        let (mut first, mut frame_rate) = (None, None);
        for line in lines.by_ref() {
            if is_frame(line) {
                first = Some(line);
                break;
            }
            if let Some(complaint) = error_of(line).filter(|_| is_of_beginning(line, decoder)) {
                *leading.entry(complaint.to_owned()).or_default() += 1;
            }
            frame_rate = frame_rate.or_else(|| fraction(line.split_once("config in ")?.1.split_once("frame_rate: ")?.1));
        }
        let Some(first) = first else { return Err(no_frames(said, source)) };
        let size = field(first, "s").and_then(|size| size.split_once('x'));
        let size = size.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        let size = size.ok_or_else(|| contents(&source.path, "ffmpeg does not say how large its frames are"))?;
        // Versions say it in the same line, or in the next.
        let mut colours = std::iter::once(first).chain(lines.take_while(|line| !is_frame(line)));
        let space = colours.find_map(|line| field(line, "color_space")).unwrap_or("unknown");
        Ok(Self { size, matrix: matrix(space, size.1, source)?, frame_rate, leading, each_frame_once })
    }

    /// Whether there is something before the first frame that cannot be decoded.
    pub fn begins_late(&self) -> bool {
        !self.leading.is_empty()
    }

    /// The first complaint that is not among those before the first frame.
    pub fn first_new<'s>(&self, said: &'s str) -> Option<&'s str> {
        let mut left = self.leading.clone();
        said.lines().filter_map(error_of).find(|&complaint| match left.get_mut(complaint) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
    }

    /// Frames a second in the mean, of so many frames in so many seconds; that of the stream where it is the same but for rounding.
    pub fn mean_rate(&self, frames: usize, length: f64) -> Option<f64> {
        let mean = frames as f64 / length;
        let is_said = |said: &f64| (mean / said - 1.0).abs() < 0.02;
        self.frame_rate.filter(is_said).or_else(|| (mean.is_finite() && mean > 0.0).then_some(mean))
    }
}

/// Whether a complaint may be of what comes before the first key frame: by the decoder, and not of the file. That a picture which is shown has holes,
/// ffmpeg says by itself.
fn is_of_beginning(line: &str, decoder: &str) -> bool {
    line.strip_prefix('[').is_some_and(|line| line.starts_with(&format!("{decoder} @ ")))
}

/// The value of `name:value` in a line.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix(':')).filter(|value| !value.is_empty())
}

/// A fraction such as `30000/1001`, if it is a positive number.
fn fraction(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_whitespace().next()?.split_once('/')?;
    let value = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
    (value.is_finite() && value > 0.0).then_some(value)
}

/// The matrix of a colour space. Where nothing is said: BT.709 for pictures of 720 rows and more, BT.601 below, as players do.
fn matrix(space: &str, height: u32, source: &Source) -> Result<Option<&'static str>> {
    match space {
        "bt709" => Ok(Some("bt709")),
        "fcc" => Ok(Some("fcc")),
        "bt470bg" | "smpte170m" => Ok(Some("bt601")),
        "smpte240m" => Ok(Some("smpte240m")),
        "bt2020nc" | "bt2020c" => Ok(Some("bt2020")),
        "gbr" => Ok(None),
        "unknown" | "unspecified" | "reserved" => Ok(Some(if height >= 720 { "bt709" } else { "bt601" })),
        other => {
            let reason = format!("its colours are {other}; RGB, BT.709, BT.601, BT.2020, SMPTE 240M and FCC are decoded");
            Err(contents(&source.path, &reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::Damage;

    const NEW: &str = "\
[h264 @ 0x55d8] [error] no frame!
[h264 @ 0x55d9] [error] no frame!
[info]   Stream #0:0[0x100]: Video: h264 (High), yuv420p(progressive), 96x64 [SAR 1:1 DAR 3:2], 25 fps, 25 tbr, 90k tbn
[info]   Stream #0:0 -> #0:0 (h264 (native) -> wrapped_avframe (native))
[Parsed_showinfo_0 @ 0x7fa6] [info] config in time_base: 1/90000, frame_rate: 30000/1001
[Parsed_showinfo_0 @ 0x7fa6] [info] config out time_base: 0/0, frame_rate: 0/0
[Parsed_showinfo_0 @ 0x7fa6] [info] n:   0 pts:  42000 pts_time:0.5 duration:   3000 fmt:yuv420p cl:left sar:1/1 s:96x64 i:P iskey:1 type:I
[Parsed_showinfo_0 @ 0x7fa6] [info] color_range:tv color_space:bt2020nc color_primaries:bt2020 color_trc:unknown
[Parsed_showinfo_0 @ 0x7fa6] [info] n:   1 pts:  45000 pts_time:0.6 fmt:yuv420p s:48x32 i:P iskey:0 type:P
[h264 @ 0x55da] [error] no frame!
";

    fn source(damage: Damage) -> Source {
        Source::new("CLIP".as_ref(), "because", crate::clip::ffmpeg::FIRST, damage)
    }

    fn read(said: &str) -> Result<Probe> {
        Probe::read(said, "-vsync", &source(Damage::Refused))
    }

    #[test]
    fn the_first_frame_says_what_a_stream_is_like() {
        let probe = read(NEW).expect("a frame");
        assert_eq!((probe.size, probe.matrix), ((96, 64), Some("bt2020")));
        assert_eq!(probe.frame_rate, Some(30000.0 / 1001.0));
        assert!(probe.begins_late());
        // Two frames are missing, as before the first one; a third is damage.
        assert_eq!(probe.first_new(&NEW.lines().take(2).collect::<Vec<_>>().join("\n")), None);
        assert_eq!(probe.first_new(NEW), Some("no frame!"));
        assert_eq!(probe.first_new("[x @ 1] [fatal] broken"), Some("broken"));
        let old = "[Parsed_showinfo_0 @ 0x1] [info] n:   0 pts:      0 pts_time:0       pos:     1 fmt:yuv420p sar:1/1 s:1280x720 i:P \
                   iskey:1 type:I checksum:B72E93EC plane_checksum:[B72E93EC] mean:[128] stdev:[0.0]\n";
        let probe = read(old).expect("a frame");
        assert_eq!((probe.size, probe.matrix, probe.frame_rate), ((1280, 720), Some("bt709"), None));
        assert!(!probe.begins_late());
    }

    #[test]
    fn what_cannot_be_shown_is_refused_in_words() {
        let refused = |said: &str| read(said).expect_err("refused").to_string();
        assert_eq!(refused("[info] nothing\n"), "CLIP: because, and ffmpeg says: there are no frames");
        assert_eq!(refused("[a @ 1] [error] Invalid data\n"), "CLIP: because, and ffmpeg says: Invalid data");
        let other = NEW.replace("bt2020nc", "ycgco");
        assert!(refused(&other).starts_with("CLIP: its colours are ycgco; RGB, BT.709"), "{}", refused(&other));
    }

    #[test]
    fn damage_does_not_pass_for_a_late_beginning() {
        for damage in
            ["[vist#0:0/h264 @ 0x5] [warning] corrupt decoded frame", "[in#0/matroska,webm @ 0x5] [error] File ended prematurely"]
        {
            let said = format!("{damage}\n{}", NEW.replace("no frame!", "of no account").replace("[error]", "[info]"));
            let probe = read(&said).expect("a frame");
            assert!(!probe.begins_late(), "{damage}");
            assert!(probe.first_new(&said).is_some_and(|complaint| damage.ends_with(complaint)), "{damage}");
        }
    }

    #[test]
    fn the_mean_rate_is_the_streams_but_for_rounding() {
        let probe = |frame_rate| Probe { frame_rate, ..Probe::default() };
        assert_eq!(probe(Some(25.0)).mean_rate(100, 4.01), Some(25.0));
        assert_eq!(probe(Some(25.0)).mean_rate(50, 4.0), Some(12.5));
        assert_eq!(probe(None).mean_rate(50, 4.0), Some(12.5));
        assert_eq!((probe(None).mean_rate(50, 0.0), probe(None).mean_rate(0, 4.0)), (None, None));
    }
}

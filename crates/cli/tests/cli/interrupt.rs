//! Ctrl-C in the middle of long commands.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{folder, shipped, text};

/// A benchmark that would take far longer than any test.
const BENCH: [&str; 8] = ["bench", "--shape", "2x9x24x3", "--no-ceilings", "--runs", "1000000", "--backend", "vulkan"];

/// A program that runs; it is ended with the test.
pub struct Running {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program left: its exit code, and the rest of what it printed.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orthoformer"));
        command.args(arguments).env_remove("COLUMNS").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("built");
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Self { child, stdout: BufReader::new(stdout), stderr: BufReader::new(stderr) }
    }

    pub fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("there is a shell").success());
    }

    /// Waits until Ctrl-C no longer ends the program at once.
    fn wait_for_handler(&self) {
        if !cfg!(target_os = "linux") {
            std::thread::sleep(Duration::from_secs(10));
            return;
        }
        let start = Instant::now();
        while !self.catches_interrupts() {
            assert!(start.elapsed() < Duration::from_secs(120), "no handler");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the second bit of the caught signals, which is that of SIGINT, is set.
    fn catches_interrupts(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("Linux says so");
        u64::from_str_radix(caught.trim(), 16).expect("hexadecimal") & 0b10 != 0
    }

    /// Stops reading what the program prints, and waits until it ends.
    pub fn leave(mut self) -> ExitStatus {
        let nothing = std::fs::File::open("/dev/null").expect("there");
        self.stdout = BufReader::new(std::os::fd::OwnedFd::from(nothing).into());
        self.child.wait().expect("its parent")
    }

    pub fn end(mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("UTF-8");
        self.stderr.read_to_string(&mut stderr).expect("UTF-8");
        Ended { status: self.child.wait().expect("its parent"), stdout, stderr }
    }
}

/// The next line of which this is true.
pub fn line(from: &mut impl BufRead, mut is_wanted: impl FnMut(&str) -> bool) -> String {
    loop {
        let mut line = String::new();
        assert!(from.read_line(&mut line).expect("UTF-8") > 0, "the output ends without it");
        if is_wanted(&line) {
            return line;
        }
    }
}

/// `N` and `M` of `interrupted: N of M`.
fn counts(stderr: &str) -> (usize, usize) {
    let said = stderr.lines().find_map(|line| line.strip_prefix("interrupted: ")).unwrap_or_else(|| panic!("{stderr}"));
    let numbers: Vec<usize> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

#[test]
fn bench_prints_rows_as_they_come_and_keeps_them() {
    let folder = folder();
    let page = text(folder.path().join("page.html"));
    let mut running = Running::start(&[&BENCH[..], &["--seconds", "1000", "--report", &page]].concat());
    let row = line(&mut running.stdout, |line| line.starts_with("trajectories 2x9x24x3, batch 1, ") && line.contains(" ms"));
    assert!(running.child.try_wait().expect("its parent").is_none(), "{row} is not the last");
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let (measured, all) = counts(&stderr);
    assert!(0 < measured && measured < all && stderr.contains("rows measured"), "{stderr}");
    assert!(stdout.contains('┌') && stdout.contains("IQR") && stdout.contains("wrote "), "{stdout}");
    let page = std::fs::read_to_string(page).expect("written");
    assert!(page.contains("interrupted") && page.contains("<table>"), "{page}");
}

#[test]
fn rounds_that_are_over_are_kept() {
    let flags = ["--operation", "linear", "--variant", "auto", "--seconds", "1000000", "--json"];
    let running = Running::start(&[&BENCH[..], &flags].concat());
    running.wait_for_handler();
    // A row is checked in less, and a round takes some hundredths of a second.
    std::thread::sleep(Duration::from_secs(8));
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("JSON and nothing else on stdout");
    let (done, all) = counts(&stderr);
    assert!(stderr.contains("rounds measured") && 0 < done && done < all, "{stderr}");
    let samples = report["rows"][0]["samples_ms"].as_array().expect("runs").len();
    assert!(report["rounds"] == done && (done..=done + 1).contains(&samples), "{done} {samples}");
}

#[test]
fn rows_as_csv_are_whole_however_many_there_are() {
    let running = Running::start(&[&BENCH[..], &["--seconds", "1000", "--csv"]].concat());
    running.wait_for_handler();
    std::thread::sleep(Duration::from_secs(4));
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let mut reader = csv::Reader::from_reader(stdout.as_bytes());
    if counts(&stderr).0 > 0 {
        assert_eq!(reader.headers().expect("a header").get(0), Some("operation"));
    }
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("as long as the header")).collect();
    assert!(records.iter().all(|record| record.get(1) == Some("2x9x24x3")), "{stdout}");
}

#[test]
fn json_says_that_it_is_a_part() {
    let running = Running::start(&[&BENCH[..], &["--seconds", "1000", "--json"]].concat());
    running.wait_for_handler();
    // Long enough for some rows; without any the report is whole too.
    std::thread::sleep(Duration::from_secs(4));
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("JSON and nothing else on stdout");
    assert!(report["interrupted"] == true && report["adapter"]["name"].is_string(), "{report}");
    let rows = report["rows"].as_array().expect("rows").len();
    let (measured, all) = counts(&stderr);
    assert!(measured < all && (measured == 0) == (rows == 0), "{stderr} {rows}");
}

#[test]
fn the_second_interrupt_ends_at_once_and_leaves_nothing() {
    let folder = folder();
    let page = text(folder.path().join("page.html"));
    // One step takes minutes: a layer of Motionformer-B in the reference's stead, many times over.
    let large = [
        "bench",
        "--shape",
        "16x441x768x12",
        "--operation",
        "layer",
        "--approximation",
        "exact",
        "--batch",
        "4",
        "--no-ceilings",
    ];
    let mut running = Running::start(&[&large[..], &["--backend", "vulkan", "--report", &page]].concat());
    // The check begins after this line.
    line(&mut running.stdout, |line| line.starts_with("times by "));
    std::thread::sleep(Duration::from_secs(1));
    running.interrupt();
    line(&mut running.stderr, |line| line.contains("Ctrl-C again ends at once"));
    let start = Instant::now();
    running.interrupt();
    let Ended { status, stdout, .. } = running.end();
    assert_eq!(status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(60) && !stdout.contains('┌'), "{stdout}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0, "nothing is left behind");
}

#[test]
fn tune_and_compare_say_what_is_lost() {
    let folder = folder();
    let cache = text(folder.path().join("cache.json"));
    let tune = ["tune", "--shape", "4x9x48x3,8x9x48x3", "--runs", "1000000", "--cache", &cache];
    let running = Running::start(&tune);
    running.wait_for_handler();
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!((status.code(), stdout.as_str()), (Some(130), ""), "{stderr}");
    assert!(stderr.contains("0 of 2 shapes are tuned; what was measured of 4x9x48x3 is lost"), "{stderr}");
    assert!(!Path::new(&cache).exists(), "nothing was found yet");

    let (clip, out) = (shipped("clips/ball.gif"), text(folder.path().join("out")));
    let sizes = ["--size", "64", "--counts", "8", "--stride", "1", "--seeds", "1000000"];
    let running = Running::start(&[&["compare", &clip, "--out", &out], &sizes[..]].concat());
    running.wait_for_handler();
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!((status.code(), stdout.as_str()), (Some(130), ""), "{stderr}");
    let (made, all) = counts(&stderr);
    assert!(made < all && stderr.contains("all of them lost; nothing is written"), "{stderr}");
    assert!(!folder.path().join("out/compare.json").exists());
}

/// A clip so long that nobody waits for it, a folder of `ball.gif` again and again.
fn many_clips(folder: &Path) -> String {
    let clips = folder.join("clips");
    std::fs::create_dir(&clips).expect("a new folder");
    for number in 0..1000 {
        std::fs::copy(shipped("clips/ball.gif"), clips.join(format!("{number}.gif"))).expect("copies");
    }
    text(clips)
}

#[test]
fn clips_that_were_classified_stay() {
    let (folder, weights) = (folder(), shipped("models/patches_2d.pyth"));
    let clips = many_clips(folder.path());
    let start = |form: &[&str]| Running::start(&[&["classify", &clips, "--weights", &weights, "--batch", "1"], form].concat());

    let mut running = start(&[]);
    line(&mut running.stdout, |line| line.trim() == "1.gif");
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let (done, all) = counts(&stderr);
    assert!((2..1000).contains(&done) && all == 1000, "{stderr}");
    assert!(stdout.contains(" views (1x1 a clip)"), "the summary of what was done: {stdout}");

    let mut running = start(&["--csv"]);
    let header = line(&mut running.stdout, |_| true);
    let row = line(&mut running.stdout, |_| true);
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let rows = [header, row, stdout].concat();
    let records: csv::Result<Vec<csv::StringRecord>> = csv::Reader::from_reader(rows.as_bytes()).into_records().collect();
    assert_eq!(records.expect("whole rows").len(), 5 * counts(&stderr).0, "{rows}");

    let running = start(&["--json"]);
    running.wait_for_handler();
    std::thread::sleep(Duration::from_secs(2));
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("JSON and nothing else on stdout");
    assert_eq!(report["interrupted"], true);
    assert_eq!(report["clips"].as_array().expect("clips").len(), counts(&stderr).0);
}

#[test]
fn features_that_were_made_are_written() {
    let (folder, weights) = (folder(), shipped("models/patches_2d.pyth"));
    let (clips, out) = (many_clips(folder.path()), text(folder.path().join("features.safetensors")));
    let mut running = Running::start(&["features", &clips, "--weights", &weights, "--batch", "1", "--out", &out]);
    line(&mut running.stdout, |line| line.starts_with("1.gif "));
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(stdout.contains("wrote "), "{stdout}");
    let bytes = std::fs::read(out).expect("written");
    let written = safetensors::SafeTensors::deserialize(&bytes).expect("whole");
    assert_eq!(written.len(), counts(&stderr).0);
}

#[test]
fn following_says_that_nothing_is_written() {
    let folder = folder();
    let clip = folder.path().join("long");
    std::fs::create_dir(&clip).expect("a new folder");
    let picture = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8, y as u8, 0]));
    picture.save(clip.join("0.png")).expect("encodes");
    for number in 1..3000 {
        std::fs::hard_link(clip.join("0.png"), clip.join(format!("{number}.png"))).expect("links");
    }
    let (clip, out) = (text(clip), folder.path().join("out"));
    let running = Running::start(&["track", &clip, "--size", "48", "--frames", "3000", "--out", &text(&out)]);
    running.wait_for_handler();
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!((status.code(), stdout.as_str()), (Some(130), ""), "{stderr}");
    assert!(stderr.contains("interrupted: nothing is written") && !out.join("track.json").exists(), "{stderr}");
}

#[test]
fn a_probe_goes_on_where_it_ended() {
    let folder = folder();
    let (list, keep) = (folder.path().join("clips"), folder.path().join("kept"));
    for seed in 0..24 {
        let clip = list.join(support::COLOURS[seed % 4].0).join(seed.to_string());
        std::fs::create_dir_all(&clip).expect("made");
        for (number, frame) in support::coloured_clip(seed as u64, 16, 112).iter().enumerate() {
            frame.save(clip.join(format!("{number}.png"))).expect("written");
        }
    }
    let weights = text(Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/assets/ball.safetensors"));
    let (list, kept, out) = (text(&list), text(&keep), text(folder.path().join("head.safetensors")));
    let arguments = ["probe", "train", &list, "--weights", &weights, "--out", &out, "--keep", &kept, "--batch", "1", "--json"];
    let running = Running::start(&arguments);
    let count = || std::fs::read_dir(&keep).map_or(0, |entries| entries.filter(is_kept).count());
    let start = Instant::now();
    while count() == 0 {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing is kept");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.interrupt();
    let Ended { status, stdout, stderr } = running.end();
    assert_eq!((status.code(), stdout.as_str()), (Some(130), ""), "{stderr}");
    assert!(
        stderr.contains("more clips are kept in ") && stderr.contains("goes on from there") && !Path::new(&out).exists(),
        "{stderr}"
    );
    let kept = count();
    let Ended { status, stdout, stderr } = Running::start(&arguments).end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("JSON");
    assert!(0 < kept && kept < 24 && report["kept"] == kept && report["clips"] == 24, "{kept} {report}");
}

/// Whether a file is one of those that are kept, rather than one that is being written.
fn is_kept(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "safetensors"))
}

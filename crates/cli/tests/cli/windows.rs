//! `classify --every`: rows as windows come, spans, streams without end.

use std::path::Path;

use orthoformer_video::ball_motion::{FRAMES, MotionClip};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::program::{folder, json, orthoformer, program, shipped, text};

/// Clips of a motion each, two of the same one after the other: down, toward, left.
const SEEDS: [u64; 6] = [3, 11, 6, 14, 0, 8];

/// The network that names such motions: it sees 16 frames of 30 a second, one after the other.
fn weights() -> String {
    text(Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("models").join("assets/ball.safetensors"))
}

fn labels() -> String {
    weights().replace("ball.safetensors", "ball_classes.json")
}

fn header() -> Vec<u8> {
    b"YUV4MPEG2 W112 H112 F30:1 C444\n".to_vec()
}

/// The frames of a rendered clip.
fn frames(seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in MotionClip::render(seed).frames {
        bytes.extend_from_slice(b"FRAME\n");
        for [offset, red, green, blue] in
            [[16.0, 0.257, 0.504, 0.098], [128.0, -0.148, -0.291, 0.439], [128.0, 0.439, -0.368, -0.071]]
        {
            let value = |pixel: &image::Rgb<u8>| {
                let [r, g, b] = pixel.0.map(f64::from);
                (offset + red * r + green * g + blue * b).round() as u8
            };
            bytes.extend(frame.pixels().map(value));
        }
    }
    bytes
}

/// All clips as one.
fn stream() -> Vec<u8> {
    SEEDS.iter().fold(header(), |stream, &seed| [stream, frames(seed)].concat())
}

/// Lines of JSON, by their kind.
fn rows(stdout: &[u8], kind: &str) -> Vec<Value> {
    let lines = std::str::from_utf8(stdout).expect("UTF-8").lines();
    lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON")).filter(|row| row["kind"] == kind).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// Spans of windows, as `(start, end, class, probability)`.
fn merged(windows: &[Value]) -> Vec<(f64, f64, Value, f64)> {
    let mut spans: Vec<(f64, f64, Value, Vec<f64>)> = Vec::new();
    for window in windows {
        let best = &window["heads"][0][0];
        match spans.last_mut().filter(|span| span.2 == best["label"]) {
            Some(span) => {
                span.1 = number(&window["end"]);
                span.3.push(number(&best["probability"]));
            }
            None => spans.push((
                number(&window["start"]),
                number(&window["end"]),
                best["label"].clone(),
                vec![number(&best["probability"])],
            )),
        }
    }
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    spans.into_iter().map(|(start, end, class, all)| (start, end, class, mean(&all))).collect()
}

/// Whether rows of spans are these.
fn check_spans(rows: &[Value], expected: &[(f64, f64, Value, f64)]) {
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    for (row, (start, end, class, probability)) in rows.iter().zip(expected) {
        assert_eq!((&row["head"], &row["label"]), (&0.into(), class));
        assert!(number(&row["start"]) == *start && number(&row["end"]) == *end, "{row} {start} {end}");
        assert!((number(&row["probability"]) - probability).abs() < 1e-9, "{row} {probability}");
    }
}

#[test]
fn each_window_is_classified_like_a_clip_and_windows_make_spans() {
    let (folder, weights, labels) = (folder(), weights(), labels());
    let usual = ["--weights", &weights, "--labels", &labels, "--json", "--top", "3"];
    let all = text(folder.path().join("all.y4m"));
    std::fs::write(&all, stream()).expect("written");
    let every = (FRAMES as f64 / 30.0).to_string();
    let said = orthoformer(&[&["classify", &all, "--every", &every], &usual[..]].concat()).success();
    let found = rows(&said.get_output().stdout, "window");
    assert_eq!(found.len(), SEEDS.len());
    for (index, (window, &seed)) in found.iter().zip(&SEEDS).enumerate() {
        let own = text(folder.path().join(format!("{seed}.y4m")));
        std::fs::write(&own, [header(), frames(seed)].concat()).expect("written");
        let alone = json(orthoformer(&[&["classify", &own], &usual[..]].concat()).success());
        let (guesses, expected) = (&window["heads"][0], &alone["clips"][0]["heads"][0]);
        for (guess, expected) in guesses.as_array().expect("three").iter().zip(expected.as_array().expect("three")) {
            assert_eq!(guess["label"], expected["label"], "window {index}");
            assert!((number(&guess["probability"]) - number(&expected["probability"])).abs() < 1e-3, "{guess} {expected}");
        }
        assert!((number(&window["start"]) - index as f64 * FRAMES as f64 / 30.0).abs() < 1e-5, "{window}");
        assert_eq!(window["clip"], all.as_str());
    }
    let expected = merged(&found);
    assert!((2..SEEDS.len()).contains(&expected.len()), "some are merged, some are not: {expected:?}");
    check_spans(&rows(&said.get_output().stdout, "span"), &expected);
}

#[test]
fn windows_overlap_and_have_several_views() {
    let (folder, weights) = (folder(), weights());
    let all = text(folder.path().join("all.y4m"));
    std::fs::write(&all, stream()).expect("written");
    // 96 frames: windows of 24 begin at 0, 12 and so on; the last one has 12, and is there.
    let windows = ["--every", "0.4", "--window", "0.8", "--views", "2x3", "--batch", "5"];
    let arguments = [&["classify", &all, "--weights", &weights, "--json"], &windows[..]].concat();
    let said = orthoformer(&arguments).success().stderr(contains("repeated").not());
    let found = rows(&said.get_output().stdout, "window");
    let times: Vec<[f64; 2]> = found.iter().map(|row| [number(&row["start"]), number(&row["end"])]).collect();
    assert_eq!(times[..2], [[0.0, 0.8], [0.4, 1.2]]);
    assert_eq!((times.len(), times[7]), (8, [2.8, 3.2]));
    assert!(found.iter().all(|row| row["heads"][0].as_array().expect("a list").len() == 1), "one class each");
    check_spans(&rows(&said.get_output().stdout, "span"), &merged(&found));
}

#[test]
fn text_and_csv_have_the_same_rows() {
    let (folder, weights, labels) = (folder(), weights(), labels());
    let (all, missing) = (text(folder.path().join("all.y4m")), text(folder.path().join("missing.mp4")));
    std::fs::write(&all, stream()).expect("written");
    let arguments = ["classify", &all, &missing, "--weights", &weights, "--labels", &labels, "--every", "1", "--window", "0.5"];
    let said = |form: &[&str]| {
        let said = orthoformer(&[&arguments[..], form].concat()).code(1).get_output().clone();
        [said.stdout, said.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
    };
    let [lines, _] = said(&["--json"]);
    let (windows, spans) = (rows(lines.as_bytes(), "window"), rows(lines.as_bytes(), "span"));
    assert_eq!(windows.len(), 3, "at 0, 1 and 2 seconds of 3.2; one at 3 would have 6 of 15 frames");
    let failed = rows(lines.as_bytes(), "error");
    assert!(failed.len() == 1 && failed[0]["error"].as_str().expect("words").contains("missing.mp4"), "{lines}");

    let [table, _] = said(&["--csv"]);
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = ["kind", "clip", "start", "end", "head", "rank", "class", "label", "probability", "error"];
    assert_eq!(reader.headers().expect("a header"), &header[..]);
    let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows of as many fields");
    let kinds: Vec<&str> = records.iter().map(|record| &record[0]).collect();
    let of_lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let expected: Vec<String> =
        of_lines.filter_map(|row| row["kind"].as_str().map(str::to_owned)).filter(|kind| kind != "note").collect();
    assert_eq!(kinds, expected);
    assert_eq!([count(&kinds, "window"), count(&kinds, "span"), count(&kinds, "error")], [3, spans.len(), 1]);
    assert_eq!((kinds[0], &kinds[kinds.len() - 2..]), ("window", &["span", "error"][..]));
    for (record, row) in records.iter().filter(|record| &record[0] == "window").zip(&windows) {
        let best = &row["heads"][0][0];
        assert_eq!((record[2].parse::<f64>(), record[7].into()), (Ok(number(&row["start"])), best["label"].clone()));
    }

    let [shown, stderr] = said(&[]);
    assert!(stderr.contains("error: ") && stderr.contains("missing.mp4"), "{stderr}");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0] == "all.y4m" && lines[1].starts_with("      0.00 to     0.50 s  "), "{shown}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("span      ")).count(), spans.len(), "{shown}");
    assert!(shown.contains("3 windows of 0.50 s every 1 s (1x1 views each)"), "{shown}");
    let label = windows[0]["heads"][0][0]["label"].as_str().expect("a name");
    assert!(lines[1].ends_with(label), "{shown}");
}

fn count(kinds: &[&str], wanted: &str) -> usize {
    kinds.iter().filter(|kind| **kind == wanted).count()
}

#[test]
fn spans_come_when_they_are_over_and_notes_are_rows() {
    let (folder, weights) = (folder(), weights());
    let (all, cut) = (text(folder.path().join("all.y4m")), text(folder.path().join("cut.y4m")));
    std::fs::write(&all, stream()).expect("written");
    let every = (FRAMES as f64 / 30.0).to_string();
    let arguments = ["classify", &all, "--weights", &weights, "--every", &every, "--json"];
    let said = orthoformer(&arguments).success();
    let lines = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    // Each ahead of the window that begins another.
    let mut open: Option<Value> = None;
    for row in lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        match row["kind"].as_str() {
            Some("window") => {
                let class = row["heads"][0][0]["class"].clone();
                assert!(open.is_none() || open == Some(class.clone()), "{lines}");
                open = Some(class);
            }
            Some("span") => assert_eq!(open.take(), Some(row["class"].clone()), "{lines}"),
            kind => panic!("{kind:?}"),
        }
    }
    assert_eq!(open, None, "the last one too: {lines}");
    // Damage in a stream is left out where that is asked for.
    let bytes = stream();
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).expect("written");
    let tolerant = |clip: &str, more: &[&str]| {
        program(&[&["classify", clip, "--weights", &weights, "--every", &every, "--json"], more].concat())
            .write_stdin(&bytes[..bytes.len() - 1])
            .assert()
    };
    let refused = tolerant("-", &[]).code(1);
    assert_eq!(rows(&refused.get_output().stdout, "error").len(), 1);
    for clip in ["-", &cut] {
        let shown = tolerant(clip, &["--tolerant"]).success();
        let notes = rows(&shown.get_output().stdout, "note");
        assert!(notes.iter().any(|row| row["note"].as_str().is_some_and(|note| note.starts_with("Damaged: "))), "{notes:?}");
        assert_eq!(notes[0]["clip"], clip, "{notes:?}");
    }
}

#[test]
fn clips_come_one_after_the_other() {
    let (gif, mp4, weights) = (shipped("clips/ball.gif"), shipped("clips/ball.mp4"), shipped("models/patches_2d.pyth"));
    let arguments = ["classify", &gif, &mp4, "--weights", &weights, "--every", "0.4", "--csv"];
    let said = orthoformer(&arguments).success();
    let mut reader = csv::Reader::from_reader(said.get_output().stdout.as_slice());
    let mut parts: Vec<String> = reader.records().map(|record| record.expect("whole")[1].to_owned()).collect();
    parts.dedup();
    assert_eq!(parts, [gif, mp4]);
}

#[test]
fn what_is_no_y4m_is_copied_and_said_so() {
    let weights = shipped("models/patches_2d.pyth");
    let usual = ["--weights", &weights, "--json", "--every", "0.25", "--window", "0.25"];
    let bytes = std::fs::read(shipped("clips/ball.mp4")).expect("shipped");
    let piped = program(&[&["classify", "-"], &usual[..]].concat()).write_stdin(bytes).assert().success();
    let piped = piped.stderr(contains("standard input is not y4m, and is copied to disk"));
    let file = orthoformer(&[&["classify", &shipped("clips/ball.mp4")], &usual[..]].concat()).success();
    let heads = |stdout: &[u8]| rows(stdout, "window").iter().map(|row| row["heads"].clone()).collect::<Vec<_>>();
    let found = heads(&piped.get_output().stdout);
    assert!(found.len() == 4 && found == heads(&file.get_output().stdout), "{found:?}");
    assert_eq!(rows(&piped.get_output().stdout, "span")[0]["clip"], "-");
    let damaged = program(&[&["classify", "-"], &usual[..]].concat()).write_stdin("").assert().code(1);
    assert!(rows(&damaged.get_output().stdout, "error")[0]["error"].as_str().expect("words").contains("standard input"));
}

#[test]
fn clips_without_times_and_odd_windows_are_refused() {
    let (folder, weights) = (folder(), shipped("models/patches_2d.pyth"));
    let clip = shipped("clips/ball.mp4");
    let refused = |clip: &str, windows: &[&str], code: i32| {
        let said = orthoformer(&[&["classify", clip, "--weights", &weights], windows].concat()).code(code);
        String::from_utf8_lossy(&said.get_output().stderr).into_owned()
    };
    (0..3).for_each(|number| image::RgbImage::new(32, 32).save(folder.path().join(format!("{number}.png"))).expect("written"));
    let said = refused(&text(folder.path()), &["--every", "1"], 1);
    assert!(said.contains("does not say how many frames a second it has") && said.contains("-framerate 30"), "{said}");
    for wrong in ["0", "-1", "nan", "1e9"] {
        let said = refused(&clip, &[&format!("--every={wrong}")], 1);
        assert!(said.contains("time between windows") && said.contains("seconds above 0"), "{said}");
    }
    assert!(refused(&clip, &["--every", "1", "--window", "0"], 1).contains("length of a window"));
    assert!(refused(&clip, &["--every", "0.001"], 1).contains("a frame of a clip of 12 frames a second"));
    assert!(refused(&clip, &["--window", "1"], 2).contains("--every"));
}

/// Streams that go on, and Ctrl-C.
#[cfg(unix)]
mod live {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use super::{SEEDS, check_spans, frames, header, merged, rows, weights};
    use crate::interrupt::{Ended, Running, line};

    #[test]
    fn rows_come_before_the_stream_ends_and_spans_at_an_interrupt() {
        let weights = weights();
        let mut running = Running::start(&["classify", "-", "--weights", &weights, "--every", "0.53333333", "--json"]);
        let mut stdin = running.child.stdin.take().expect("piped");
        stdin.write_all(&header()).expect("it reads");
        let mut found = String::new();
        for seed in &SEEDS[..3] {
            stdin.write_all(&frames(*seed)).expect("it reads");
            stdin.flush().expect("it reads");
            let is_window = |line: &str| {
                found += line;
                line.contains("window")
            };
            line(&mut running.stdout, is_window);
        }
        // Half of a window more, and the stream stalls.
        stdin.write_all(&frames(SEEDS[3])[..300_000]).expect("it reads");
        running.interrupt();
        let start = Instant::now();
        let Ended { status, stdout, stderr } = running.end();
        assert_eq!(status.code(), Some(130), "{stderr}");
        assert!(start.elapsed() < Duration::from_secs(60) && stderr.contains("interrupted: 3 windows classified"), "{stderr}");
        assert_eq!(rows(stdout.as_bytes(), "window").len(), 0, "{stdout}");
        let all = found + &stdout;
        check_spans(&rows(all.as_bytes(), "span"), &merged(&rows(all.as_bytes(), "window")));
        drop(stdin);
    }

    #[test]
    fn a_reader_that_goes_away_ends_it() {
        let weights = weights();
        let mut running = Running::start(&["classify", "-", "--weights", &weights, "--every", "0.53333333"]);
        let mut stdin = running.child.stdin.take().expect("piped");
        let writer = std::thread::spawn(move || {
            // Until nobody reads.
            let mut stream = [header()].into_iter().chain(std::iter::repeat_with(|| frames(0)));
            stream.find_map(|bytes| stdin.write_all(&bytes).err())
        });
        line(&mut running.stdout, |line| line.contains(" to "));
        let status = running.leave();
        assert_eq!(status.code(), Some(0));
        assert!(writer.join().expect("no panic").is_some());
    }
}

//! What commands are given: folders of clips, standard input, labels.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::program::{folder, json, orthoformer, program, shipped, text};

const WEIGHTS: &str = "models/patches_2d.pyth";

#[test]
fn a_folder_of_clips_is_its_clips() {
    let folder = folder();
    let weights = shipped(WEIGHTS);
    let at = |name: &str| folder.path().join(name);
    for (name, clip) in [("b10.mp4", "clips/ball.mp4"), ("b9.mp4", "clips/ball.mp4"), ("a.y4m", "clips/ball.y4m")] {
        std::fs::copy(shipped(clip), at(name)).expect("copied");
    }
    std::fs::write(at("notes.txt"), "no clip").expect("written");
    std::fs::write(at("._b9.mp4"), "of macOS").expect("written");
    let report = json(orthoformer(&["classify", &text(folder.path()), "--weights", &weights, "--json"]).success());
    let names: Vec<&str> = report["clips"].as_array().expect("a list").iter().filter_map(|clip| clip["clip"].as_str()).collect();
    assert_eq!(names, [text(at("a.y4m")), text(at("b9.mp4")), text(at("b10.mp4"))]);
    // Pictures among clips: nobody knows what is meant.
    let picture = image::RgbImage::from_pixel(32, 32, image::Rgb([60, 0, 0]));
    picture.save(at("cover.png")).expect("written");
    let mixed = orthoformer(&["classify", &text(folder.path()), "--weights", &weights]).code(1);
    mixed.stderr(contains("pictures and clips (1 and 3): give the clips by name"));
}

#[test]
fn a_folder_of_pictures_stays_one_clip() {
    let folder = folder();
    let weights = shipped(WEIGHTS);
    let frames = folder.path().join("clip");
    std::fs::create_dir(&frames).expect("a folder");
    for number in 0..20 {
        image::RgbImage::from_pixel(32, 32, image::Rgb([number * 6, 0, 0]))
            .save(frames.join(format!("{number}.png")))
            .expect("written");
    }
    std::fs::write(frames.join("._0.png"), "of macOS").expect("written");
    // The folder itself, and a folder of such folders.
    for given in [&frames, &folder.path().to_owned()] {
        let report = json(orthoformer(&["classify", &text(given), "--weights", &weights, "--json"]).success());
        let clips = report["clips"].as_array().expect("a list");
        assert_eq!((clips.len(), clips[0]["frames"].as_u64()), (1, Some(20)), "{report}");
        assert_eq!(clips[0]["clip"], text(&frames));
    }
    let empty = text(folder.path().join("empty"));
    std::fs::create_dir(&empty).expect("a folder");
    orthoformer(&["classify", &empty, "--weights", &weights]).code(1).stderr(contains("neither pictures nor clips"));
}

#[test]
fn a_clip_comes_from_standard_input() {
    let weights = shipped(WEIGHTS);
    let bytes = std::fs::read(shipped("clips/ball.mp4")).expect("shipped");
    let piped = program(&["classify", "-", "--weights", &weights, "--json"]).write_stdin(bytes.clone()).assert().success();
    let file = orthoformer(&["classify", &shipped("clips/ball.mp4"), "--weights", &weights, "--json"]).success();
    let (piped, file) = (json(piped), json(file));
    assert_eq!(piped["clips"][0]["heads"], file["clips"][0]["heads"]);
    assert_eq!(piped["clips"][0]["clip"], "-");
    program(&["classify", "-", "-", "--weights", &weights]).write_stdin(bytes).assert().code(1).stderr(contains("once"));
    let damaged = program(&["classify", "-", "--weights", &weights]).write_stdin("no clip").assert();
    damaged.code(1).stderr(contains("error: standard input: "));
}

#[test]
fn predictions_are_a_table() {
    let folder = folder();
    let labels = folder.path().join("labels.csv");
    std::fs::write(&labels, "id,name\n0,left\n1,\"right, then back\"\n2,up\n3,down\n4,round\n").expect("written");
    let (clip, missing, weights) = (shipped("clips/ball.mp4"), text(folder.path().join("missing.mp4")), shipped(WEIGHTS));
    let arguments = ["classify", &clip, &missing, "--weights", &weights, "--labels", &text(&labels), "--top", "5", "--csv"];
    let output = orthoformer(&arguments).code(1).get_output().stdout.clone();
    let mut reader = csv::Reader::from_reader(output.as_slice());
    assert_eq!(reader.headers().expect("a header"), vec!["clip", "head", "rank", "class", "label", "probability", "error"]);
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows of as many fields");
    assert_eq!(rows.len(), 6);
    assert!(rows[..5].iter().any(|row| &row[4] == "right, then back"), "{rows:?}");
    let sum: f64 = rows[..5].iter().map(|row| row[5].parse::<f64>().expect("a number")).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    assert!(rows[5][0] == missing && rows[5][6].contains("missing.mp4"), "{rows:?}");
}

#[test]
fn completions_and_manual_know_all_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        orthoformer(&["completions", shell])
            .success()
            .stdout(contains("classify").and(contains("--weights").or(contains("weights"))));
    }
    let folder = folder();
    orthoformer(&["man", "--out", &text(folder.path())]).success();
    let page = std::fs::read_to_string(folder.path().join("orthoformer-classify.1")).expect("a page");
    assert!(page.contains("\\-\\-weights") && page.contains("OPTIONS OF ALL COMMANDS"), "{page}");
    assert!(folder.path().join("orthoformer.1").exists());
    // Every entry has a text, those that short help leaves out too.
    let lines: Vec<&str> = page.lines().collect();
    let entries: Vec<usize> = (0..lines.len()).filter(|&line| lines[line] == ".TP").collect();
    assert!(entries.len() > 20, "{page}");
    for entry in entries {
        let text = lines.get(entry + 2).copied().unwrap_or(".TP");
        assert!(!text.starts_with('.') && !text.is_empty(), "{} has no text", lines[entry + 1]);
    }
}

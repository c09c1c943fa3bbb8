//! The conformance cases, on the adapter and in the reference, and case files that are wrong.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::RunOptions;
use orthoformer::reference::{self, Route};
use orthoformer::{Error, PlanLimits, Tensor, Tensors, picks};
use orthoformer_bench::case::{self, Case, Operation};
use safetensors::tensor::{Dtype, TensorView};
use support::engine;

fn shipped() -> Vec<PathBuf> {
    let files_in = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).expect("shipped").map(|entry| entry.expect("readable").path()).collect()
    };
    let mut files = [files_in(&support::shipped("cases")), files_in(&support::shipped("models"))].concat();
    let networks = files_in(&support::shipped("networks"));
    files.extend(networks.iter().flat_map(|network| files_in(network)).filter(|file| !file.ends_with("model.safetensors")));
    // The published code's own answers, too large to ship.
    let larger = ["vjepa2_encoder", "vjepa2_classifier"];
    files.extend(larger.map(|network| support::shipped(&format!("networks/{network}/case.safetensors"))));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    files
}

#[test]
fn shipped_cases_pass_on_both_executors() {
    let files = shipped();
    assert!(files.len() >= 52, "{} cases", files.len());
    for file in files {
        let case = Case::read(&file).expect("a good case");
        let plan = case.operation.plan(PlanLimits::default()).expect("a small case");
        // Small networks are right to far more than whole ones have to be, which would let a wrong activation pass.
        let tolerance = match &case.operation {
            Operation::Network(_) => Tolerance::LAYER,
            Operation::Core(operation) => Tolerance::of(operation),
        };
        let by_reference = reference::run(&plan, &case.inputs, Route::Direct).expect("runs");
        let by_kernels = reference::run(&plan, &case.inputs, Route::Kernels).expect("runs");
        let by_adapter = engine().run(&plan, &case.inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("runs");
        assert!(!case.expected.is_empty(), "{}", file.display());
        for (name, expected) in &case.expected {
            for (executor, found) in [("direct", &by_reference), ("kernels", &by_kernels), ("adapter", &by_adapter.outputs)] {
                if name == "indices" {
                    assert_right_picks(&case, &found[name], expected, &format!("{} {executor}", file.display()));
                    continue;
                }
                let outcome = compare(&found[name], expected, tolerance);
                assert!(outcome.passed(), "{} {name} {executor}: {outcome:?}", file.display());
            }
        }
    }
}

/// Each pick is as good as the best; where no other candidate comes close, it is the expected one.
fn assert_right_picks(case: &Case, found: &Tensor, expected: &Tensor, what: &str) {
    let operation = case.operation.core().expect("networks hand out no picks");
    let replays = |picks| picks::replay_all(operation, &case.inputs, picks).expect("replays").expect("greedy");
    let count = found.data().len() / replays(found).len();
    let groups = found.data().chunks(count).zip(expected.data().chunks(count));
    for (group, ((replay, right), (found, expected))) in replays(found).iter().zip(replays(expected)).zip(groups).enumerate() {
        assert!(replay.gap <= picks::TOLERANCE, "{what}, group {group}: {replay:?}");
        assert!(right.gap <= picks::TOLERANCE, "{what}: the file's own picks, group {group}: {right:?}");
        assert!(right.margin <= picks::TOLERANCE || found == expected, "{what}, group {group}: {found:?}, not {expected:?}");
    }
}

/// A case file in memory.
fn file(metadata: &[(&str, &str)], tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let metadata: HashMap<String, String> = metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (name.to_string(), TensorView::new(*dtype, shape.to_vec(), bytes).expect("matches")));
    safetensors::serialize(views, Some(metadata)).expect("serialises")
}

fn refusal(bytes: &[u8]) -> String {
    Case::parse(Path::new("CASE"), bytes).expect_err("must be refused").to_string()
}

#[test]
fn damaged_files_are_refused() {
    let good = std::fs::read(&shipped()[0]).expect("shipped");
    for length in [0, 1, 7, 8, 9, 100, good.len() / 2, good.len() - 1] {
        assert!(refusal(&good[..length]).starts_with("CASE: not a safetensors file, or a damaged one"), "{length} bytes");
    }
    let mut hostile = good.clone();
    hostile[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refusal(&hostile).contains("not a safetensors file"));
    assert!(refusal(b"GIF89a this is a picture, not a case file").contains("not a safetensors file"));
    let overlapping = br#"{"q":{"dtype":"F32","shape":[1073741824,1073741824,1073741824,4],"data_offsets":[0,4]}}"#;
    let mut bytes = (overlapping.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(overlapping);
    bytes.extend_from_slice(&[0; 4]);
    assert!(refusal(&bytes).contains("not a safetensors file"));
}

#[test]
fn wrong_metadata_is_named() {
    let zeros = [0u8; 4 * 12];
    let q: &[(&str, Dtype, &[usize], &[u8])] = &[("q", Dtype::F32, &[1, 1, 3, 4], &zeros)];
    let refused = |metadata: &[(&str, &str)]| refusal(&file(metadata, q));
    assert_eq!(
        refused(&[]),
        "metadata \"op\" is missing; expected one of trajectories, attention, prototypes, deformable, layer, model, network"
    );
    assert_eq!(
        refused(&[("op", "sort")]),
        "metadata \"op\" is \"sort\"; expected one of trajectories, attention, prototypes, deformable, layer, model, network"
    );
    assert_eq!(refused(&[("op", "trajectories")]), "metadata \"frames\" is missing; expected a whole number");
    let frames = |frames| refused(&[("op", "trajectories"), ("frames", frames)]);
    assert_eq!(frames("many"), "metadata \"frames\" is \"many\"; expected a whole number");
    assert_eq!(frames("0"), "frames is 0; it must be at least 1");
    assert_eq!(frames("-1"), "metadata \"frames\" is \"-1\"; expected a whole number");
    assert_eq!(frames("2"), "tokens is 3, which is not a multiple of frames = 2");
    let approximated = refused(&[("op", "trajectories"), ("frames", "3"), ("approximation", "magic")]);
    assert_eq!(approximated, "metadata \"approximation\" is \"magic\"; expected one of exact, orthoformer, nystrom, performer");
}

#[test]
fn wrong_tensors_are_named() {
    let zeros = [0u8; 8 * 16];
    let metadata = [("op", "trajectories"), ("frames", "3")];
    let refused = |tensors: &[(&str, Dtype, &[usize], &[u8])]| refusal(&file(&metadata, tensors));
    assert_eq!(refused(&[]), "tensor \"q\" is missing; given are: ");
    let flat = refused(&[("q", Dtype::F32, &[12], &zeros[..48])]);
    assert_eq!(flat, "tensor \"q\" has shape [12]; expected [batch, heads, tokens, head size]");
    let whole = refused(&[("q", Dtype::I64, &[1, 1, 3, 4], &zeros[..96])]);
    assert_eq!(whole, "tensor \"q\" has element type I64; expected F32, F16 or BF16");
    // What the operation does not take may be anything.
    let (good, number) = (("q", Dtype::F32, [1, 1, 3, 4].as_slice(), &zeros[..48]), &zeros[..8]);
    let others = file(&metadata, &[good, ("mask", Dtype::F64, &[1], number), ("expected.tokens", Dtype::F64, &[1], number)]);
    let case = Case::parse(Path::new("CASE"), &others).expect("plannable");
    assert_eq!(case.unread.keys().collect::<Vec<_>>(), ["expected.tokens", "mask"]);
    let wide = refused(&[("q", Dtype::F32, &[1, 1, 0, 4], &[])]);
    assert_eq!(wide, "patches a frame is 0; it must be at least 1");
    // Only q decides the sizes; the others are checked against the plan.
    let case = file(&metadata, &[("q", Dtype::F32, &[1, 1, 3, 4], &zeros[..48]), ("k", Dtype::F32, &[1, 1, 4, 3], &zeros[..48])]);
    let case = Case::parse(Path::new("CASE"), &case).expect("plannable");
    let plan = case.operation.plan(PlanLimits::default()).expect("small");
    let error = reference::run(&plan, &case.inputs, Route::Direct).expect_err("k has another shape");
    assert_eq!(error.to_string(), "tensor \"k\" has shape [1, 1, 4, 3]; expected [1, 1, 3, 4]");
}

#[test]
fn layers_need_a_class_token_or_a_word_that_there_is_none() {
    let zeros = [0u8; 4 * 64];
    let x: &[(&str, Dtype, &[usize], &[u8])] = &[("x", Dtype::F32, &[1, 6, 8], &zeros[..192])];
    let metadata = [("op", "layer"), ("frames", "3"), ("heads", "2"), ("attention", "joint")];
    assert_eq!(refusal(&file(&metadata, x)), "tokens without the class token is 5, which is not a multiple of frames = 3");
    let without = [metadata.as_slice(), &[("class_token", "false")]].concat();
    assert!(Case::parse(Path::new("CASE"), &file(&without, x)).is_ok());
    let heads = [("op", "layer"), ("frames", "5"), ("heads", "3"), ("attention", "joint")];
    assert_eq!(refusal(&file(&heads, x)), "channels is 8, which is not a multiple of heads = 3");
}

#[test]
fn half_precision_inputs_are_read() {
    let halves: Vec<u8> = [0.5f32, -2.0, 0.0, 1.0].iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
    let metadata = [("op", "trajectories"), ("frames", "1")];
    let bytes = file(&metadata, &[("q", Dtype::F16, &[1, 1, 1, 4], &halves)]);
    let case = Case::parse(Path::new("CASE"), &bytes).expect("half precision is fine");
    assert_eq!(case.inputs["q"].data(), [0.5, -2.0, 0.0, 1.0]);
}

#[test]
fn outputs_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a place to write");
    let path = folder.path().join("out.safetensors");
    let tensors = Tensors::from([("y".to_owned(), Tensor::new(vec![2], vec![1.0, 2.0]).expect("two"))]);
    case::write(&path, &tensors).expect("writable");
    let found = std::fs::read(&path).expect("written");
    assert!(safetensors::SafeTensors::deserialize(&found).is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing else is left");
    let missing = folder.path().join("no such folder").join("out.safetensors");
    assert!(matches!(case::write(&missing, &tensors), Err(Error::File { action: "write into", .. })));
}

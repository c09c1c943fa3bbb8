//! What `check` makes of picks and of what is expected wrongly.

use std::collections::HashMap;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::program::{folder, json, orthoformer, shipped, text};

/// A shipped case with other metadata, other expected numbers, and further tensors.
fn changed(name: &str, metadata: &[(&str, &str)], expected: Option<f32>, more: &[(&str, i64)]) -> Vec<u8> {
    let bytes = std::fs::read(shipped(&format!("cases/{name}.safetensors"))).expect("shipped");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("good");
    let file = SafeTensors::deserialize(&bytes).expect("good");
    let mut values: HashMap<String, String> = header.metadata().clone().expect("some");
    values.extend(metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, view) in file.tensors() {
        let mut data = view.data().to_vec();
        if let (true, Some(number), Dtype::F32) = (name.starts_with("expected."), expected, view.dtype()) {
            data.chunks_mut(4).for_each(|bytes| bytes.copy_from_slice(&number.to_le_bytes()));
        }
        tensors.push((name, view.dtype(), view.shape().to_vec(), data));
    }
    tensors.extend(more.iter().map(|(name, number)| (name.to_string(), Dtype::I64, vec![1], number.to_le_bytes().to_vec())));
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (name.clone(), TensorView::new(*dtype, shape.clone(), data).expect("matches")));
    safetensors::serialize(views, Some(values)).expect("serialises")
}

#[test]
fn check_does_not_pass_what_is_expected_wrongly() {
    let folder = folder();
    let path = text(folder.path().join("case.safetensors"));
    let layer = [("approximation", "orthoformer"), ("prototypes", "4")];
    let cases = [
        ("layer_trajectory_1_projected", layer.as_slice()),
        ("trajectories_orthoformer_0_sum", &[]),
        ("trajectories_orthoformer_0_sum", &[("fraction", "0.999")]),
        ("trajectories_nystrom_0", &[]),
    ];
    for (name, metadata) in cases {
        std::fs::write(&path, changed(name, metadata, Some(123.0), &[])).expect("writable");
        let report = json(orthoformer(&["check", &path, "--json"]).code(1));
        assert_eq!((report["passed"].as_bool(), report["cases"][0]["passed"].as_bool()), (Some(false), Some(false)), "{name}");
    }
    // Integers that are nobody's business do no harm.
    let more = [("num_batches_tracked", -1), ("step", 50_000_000)];
    std::fs::write(&path, changed("trajectories_orthoformer_0_sum", &[], None, &more)).expect("writable");
    orthoformer(&["check", &path]).success().stdout(contains("1 of 1 cases passed").and(contains("indices")));
    std::fs::write(&path, changed("prototypes_0_sum", &[], None, &[("expected.more", -1)])).expect("writable");
    orthoformer(&["check", &path]).code(1).stderr(contains("\"expected.more\" holds -1; expected whole numbers from 0"));
}

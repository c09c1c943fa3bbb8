//! Layers of deformable attention against the reference, against formulas, and round the edges of sizes.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::reference::{self, Route};
use orthoformer::{PlanLimits, Tensor};
use orthoformer_models::networks::deformable::{AttentionSpec, Fusion, Grid, LayerSpec, Logits, MultiScale, layer as layers};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, run};

use super::formulas::layer;

fn grid([frames, rows, columns, sub_clip]: [u32; 4]) -> Grid {
    Grid { frames, rows, columns, sub_clip }
}

/// An attention of `[heads, samples]`.
fn attention([heads, samples]: [u32; 2], logits: Logits, scales: Option<(&[[u32; 3]], Fusion)>) -> AttentionSpec {
    let scales = scales.map(|(strides, fusion)| MultiScale { strides: strides.to_vec(), fusion });
    AttentionSpec { heads, samples, logits, qkv_bias: true, scales }
}

const MOTION: Logits = Logits::Motion { hidden: 12 };

/// Layers of all kinds: `[batch, channels]`, places, attention.
fn layers_of_all_kinds() -> Vec<LayerSpec> {
    let of = |[batch, channels]: [u32; 2], places, attention| LayerSpec { batch, grid: grid(places), channels, attention };
    let scales: &[[u32; 3]] = &[[1, 1, 1], [1, 2, 2], [2, 2, 1]];
    let mut all = Vec::new();
    for logits in [MOTION, Logits::Dot] {
        all.push(of([1, 1], [1, 1, 1, 1], attention([1, 1], logits, None)));
        all.push(of([2, 24], [4, 3, 5, 2], attention([3, 8], logits, None)));
        all.push(of([1, 66], [3, 2, 2, 3], attention([2, 5], logits, None)));
        all.push(of([1, 128], [2, 2, 3, 1], attention([1, 4], logits, None)));
        all.push(of([3, 16], [4, 2, 4, 4], attention([4, 2], logits, None)));
        for fusion in [Fusion::Mlp, Fusion::Mixer] {
            all.push(of([2, 24], [8, 4, 6, 4], attention([2, 4], logits, Some((scales, fusion)))));
            all.push(of([1, 12], [2, 2, 2, 2], attention([3, 3], logits, Some((&[[2, 2, 2]], fusion)))));
        }
    }
    all.push(LayerSpec { attention: AttentionSpec { qkv_bias: false, ..all[1].attention.clone() }, ..all[1].clone() });
    all
}

#[test]
fn layers_round_the_edges() {
    for spec in layers_of_all_kinds() {
        let plan = layers::plan(&spec, PlanLimits::default()).expect("small");
        let inputs = random_inputs(&plan, 61);
        assert_agree(&format!("{spec:?}"), &plan, &inputs, Tolerance::LAYER);
        assert_agree_as_half(&format!("{spec:?}"), plan, &inputs);
    }
}

#[test]
fn layers_are_what_the_formula_says() {
    for spec in layers_of_all_kinds() {
        let plan = layers::plan(&spec, PlanLimits::default()).expect("small");
        let inputs = random_inputs(&plan, 62);
        let shape = vec![spec.batch as usize, spec.grid.tokens() as usize, spec.channels as usize];
        let expected = Tensor::new(shape, layer(&spec, &inputs)).expect("all tokens");
        let by_reference = reference::run(&plan, &inputs, Route::Direct).expect("runs");
        for (executor, found) in [("reference", by_reference), ("adapter", run(&plan, &inputs))] {
            let outcome = compare(&found["y"], &expected, Tolerance::LAYER);
            assert!(outcome.passed(), "{spec:?}, {executor}: {outcome:?}");
        }
    }
}

#[test]
fn layers_in_slices_are_the_same() {
    for spec in layers_of_all_kinds() {
        let spec = LayerSpec { batch: 3, ..spec };
        let whole = layers::plan(&spec, PlanLimits::default()).expect("small");
        let limits = PlanLimits { scratch_bytes: 1, ..PlanLimits::default() };
        let sliced = layers::plan(&spec, limits).expect("a clip at a time");
        assert!(sliced.peak_bytes() < whole.peak_bytes() && sliced.dispatches().count() > whole.dispatches().count(), "{spec:?}");
        let inputs = random_inputs(&whole, 63);
        let outcome = compare(&run(&sliced, &inputs)["y"], &run(&whole, &inputs)["y"], Tolerance::OPERATION);
        assert!(outcome.passed(), "{spec:?}: {outcome:?}");
    }
}

#[test]
fn far_motion_finds_nothing() {
    // Without values, a layer is its last bias.
    let spec = &layers_of_all_kinds()[1];
    let plan = layers::plan(spec, PlanLimits::default()).expect("small");
    let mut inputs = random_inputs(&plan, 64);
    change(&mut inputs, "motion", |_, number| number.signum() * 1e4);
    change(&mut inputs, "offsets.weight", |_, _| 0.0);
    let bias = inputs["proj.bias"].data().to_vec();
    for row in run(&plan, &inputs)["y"].data().chunks(24) {
        assert_eq!(row, bias);
    }
    // NaN in one token's motion is in that token alone.
    let mut inputs = random_inputs(&plan, 64);
    change(&mut inputs, "motion", |index, number| if index == 4 * 17 { f32::NAN } else { number });
    assert_agree("NaN in motion", &plan, &inputs, Tolerance::LAYER);
    let found = run(&plan, &inputs);
    let rows: Vec<bool> = found["y"].data().chunks(24).map(|row| row.iter().all(|number| number.is_nan())).collect();
    assert_eq!((rows.iter().filter(|&&is_nan| is_nan).count(), rows[17]), (1, true));
}

#[test]
fn layers_that_make_no_sense_are_refused() {
    let layer = LayerSpec { batch: 0, ..layers_of_all_kinds()[1].clone() };
    let said = layers::plan(&layer, PlanLimits::default()).expect_err("no clip").to_string();
    assert_eq!(said, "batch is 0; it must be at least 1");
}

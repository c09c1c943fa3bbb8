//! Scores where they are hard: large, far apart, equal, or no numbers at all.

use orthoformer::compare::{Tolerance, compare_values};
use orthoformer::gpu::RunOptions;
use orthoformer::plan::PlanLimits;
use orthoformer::reference::{self, Route};
use orthoformer::{Plan, Tensors};
use support::{assert_agree, assert_agree_as_half, change, numbers, random_inputs, tokens_plan};

#[test]
fn large_logits_keep_their_precision() {
    for (factor, sizes) in [(50.0, [1, 2, 3, 33, 64]), (50.0, [1, 1, 2, 20, 128]), (1000.0, [1, 1, 2, 50, 80])] {
        let plan = tokens_plan(sizes, PlanLimits::default());
        let mut inputs = random_inputs(&plan, 3);
        change(&mut inputs, "q", |_, number| number * factor);
        assert_agree(&format!("logits x {factor}, {sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("logits x {factor}, {sizes:?}"), plan, &inputs);
    }
}

#[test]
fn outliers_do_not_drown_the_rest() {
    let plan = tokens_plan([1, 2, 4, 19, 64], PlanLimits::default());
    let mut inputs = random_inputs(&plan, 4);
    for name in ["q", "k"] {
        change(&mut inputs, name, |index, number| if index % 97 == 0 { number * 100.0 } else { number });
    }
    assert_agree("outliers", &plan, &inputs, Tolerance::OPERATION);
}

#[test]
fn rows_of_negative_scores_and_equal_rows() {
    let plan = tokens_plan([1, 1, 2, 21, 16], PlanLimits::default());
    let mut negative = random_inputs(&plan, 5);
    change(&mut negative, "q", |_, number| number.abs() + 1.0);
    change(&mut negative, "k", |_, number| -number.abs() - 1.0);
    assert_agree("all scores negative", &plan, &negative, Tolerance::OPERATION);
    change(&mut negative, "k", |_, _| -3.0);
    assert_agree("all keys equal", &plan, &negative, Tolerance::OPERATION);
    change(&mut negative, "q", |_, _| 0.0);
    assert_agree("queries of zero", &plan, &negative, Tolerance::OPERATION);
    change(&mut negative, "k", |_, number| number * 1e-30);
    assert_agree("tiny keys", &plan, &negative, Tolerance::OPERATION);
}

#[test]
fn nan_stays_in_the_rows_it_touches() {
    let (frames, patches, size) = (3, 10, 8);
    let plan = tokens_plan([1, 1, frames, patches, size], PlanLimits::default());
    let mut inputs = random_inputs(&plan, 7);
    change(&mut inputs, "q", |index, number| if index == 4 * size { f32::NAN } else { number });
    assert_agree("NaN in query 4", &plan, &inputs, Tolerance::OPERATION);
    let mut inputs = random_inputs(&plan, 8);
    change(&mut inputs, "k", |index, number| if index == (patches + 2) * size { f32::NAN } else { number });
    assert_agree("NaN in a key of frame 1", &plan, &inputs, Tolerance::OPERATION);
    let found = support::engine().run(&plan, &inputs, RunOptions::default()).expect("runs");
    let nan = found.outputs["tokens"].data().chunks(size).enumerate().filter(|(_, token)| token.iter().all(|x| x.is_nan()));
    assert!(nan.map(|(index, _)| index % frames).eq(std::iter::repeat_n(1, frames * patches)), "frame 1 and nothing else is NaN");
}

#[test]
fn nan_and_infinity_in_values_and_infinite_keys() {
    let (patches, size) = (10, 8);
    let plan = tokens_plan([1, 1, 3, patches, size], PlanLimits::default());
    for number in [f32::NAN, f32::INFINITY] {
        let mut inputs = random_inputs(&plan, 8);
        change(&mut inputs, "v", |index, old| if index == (patches + 2) * size + 3 { number } else { old });
        assert_agree(&format!("{number} in a value of frame 1"), &plan, &inputs, Tolerance::OPERATION);
    }
    // An infinite key makes its frame NaN and nothing else.
    let mut inputs = random_inputs(&plan, 8);
    let expected = reference::run(&plan, &inputs, Route::Direct).expect("runs");
    change(&mut inputs, "k", |index, old| if index == (patches + 2) * size { f32::NEG_INFINITY } else { old });
    let found = support::engine().run(&plan, &inputs, RunOptions::default()).expect("runs");
    let pairs = found.outputs["tokens"].data().chunks(size).zip(expected["tokens"].data().chunks(size));
    for (index, (found, expected)) in pairs.enumerate() {
        match index % 3 {
            1 => assert!(found.iter().all(|number| number.is_nan())),
            _ => assert!(compare_values(found, expected, Tolerance::OPERATION).passed()),
        }
    }
}

/// Queries and keys of one head: `q` all alike, keys that give |scale| |q| |k| = `size` for two of them, with opposite values, and one that
/// is `outlier` times as long the other way, whose weight is nothing.
fn two_keys_and_an_outlier(head_size: usize, size: f32, outlier: f32) -> (Plan, Tensors) {
    let plan = tokens_plan([1, 1, 1, 70, head_size], PlanLimits::default());
    let mut inputs = random_inputs(&plan, 8);
    let direction = numbers(9, head_size, 1.0);
    let square: f32 = direction.iter().map(|number| number * number).sum();
    // The scale is one over the root of the head size.
    let length = (size * (head_size as f32).sqrt() / square).sqrt();
    change(&mut inputs, "q", |index, _| direction[index % head_size] * length);
    let other = numbers(10, head_size, 1e-3);
    change(&mut inputs, "k", |index, _| {
        let along = direction[index % head_size] * length;
        match index / head_size {
            7 => -along * outlier,
            row if row % 2 == 0 => along + other[index % head_size],
            _ => along - other[index % head_size],
        }
    });
    (plan, inputs)
}

#[test]
fn a_long_key_does_not_blur_the_others() {
    for (head_size, size, outlier) in
        [(64, 100.0, 256.0), (64, 500.0, 256.0), (128, 500.0, 256.0), (128, 2000.0, 64.0), (12, 90.0, 1e4)]
    {
        let (plan, inputs) = two_keys_and_an_outlier(head_size, size, outlier);
        assert_agree(&format!("{head_size} numbers, {size}, x {outlier}"), &plan, &inputs, Tolerance::OPERATION);
    }
}

#[test]
fn scores_are_right_up_to_where_variants_change_their_ways() {
    for head_size in [64, 128] {
        for size in [20.0, 31.0, 33.0, 60.0, 63.0, 65.0, 126.0] {
            let plan = tokens_plan([1, 1, 2, 100, head_size], PlanLimits::default());
            let mut inputs = random_inputs(&plan, 11);
            // Positive numbers, so that sums grow and roundings with them; rows of about the same length.
            let length = (size * (head_size as f32).sqrt() / head_size as f32).sqrt();
            for name in ["q", "k"] {
                change(&mut inputs, name, |_, number| length * (0.9 + 0.05 * number));
            }
            assert_agree(&format!("{head_size} numbers, {size}"), &plan, &inputs, Tolerance::OPERATION);
        }
    }
}

//! The softmax of rows, with which keys stream.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::kernel::SoftmaxRows;
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::reference::{self, Route};
use orthoformer::view::View;
use orthoformer::{Plan, PlanLimits};
use support::{assert_agree, change, random_inputs, run};

/// One dispatch over `[batch, groups, rows, keys]` scores, with sums behind the weights.
fn softmax_plan([batch, groups, rows, keys]: [u32; 4]) -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let rows_of_all = batch * groups * rows;
    let scores = builder.buffer("scores", &[(rows_of_all * keys).into()], Role::Input).expect("small");
    let weights = builder.buffer("weights", &[(rows_of_all * (keys + 1)).into()], Role::Output).expect("small");
    let all = u64::from(rows_of_all);
    let axes = [batch, groups, rows, keys].map(u64::from);
    let behind = View::of(weights, &[all * u64::from(keys + 1)]).from(0, all * u64::from(keys));
    let request = SoftmaxRows {
        scores: View::of(scores, &axes),
        weights: View::of(weights, &axes),
        // Sums in another order than rows.
        sums: Some(behind.split(0, u64::from(groups * rows)).split(1, u64::from(groups)).ordered(&[0, 2, 1])),
    };
    builder.launch("softmax", request).expect("in range");
    builder.build()
}

#[test]
fn softmax_of_rows_round_the_edges() {
    for sizes in [[1, 1, 1, 1], [2, 3, 4, 5], [1, 2, 3, 63], [3, 1, 2, 64], [1, 1, 5, 65], [2, 2, 1, 200]] {
        let plan = softmax_plan(sizes);
        let mut inputs = random_inputs(&plan, 5);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        change(&mut inputs, "scores", |_, number| number * 30.0 - 200.0);
        assert_agree(&format!("{sizes:?}, far apart"), &plan, &inputs, Tolerance::OPERATION);
        change(&mut inputs, "scores", |index, number| if index == 0 { f32::NAN } else { number });
        assert_agree(&format!("{sizes:?}, NaN"), &plan, &inputs, Tolerance::OPERATION);
    }
}

#[test]
fn a_wrong_softmax_would_be_noticed() {
    let plan = softmax_plan([1, 1, 2, 70]);
    let inputs = random_inputs(&plan, 6);
    let expected = reference::run(&plan, &inputs, Route::Direct).expect("runs");
    let mut other = inputs.clone();
    change(&mut other, "scores", |index, number| if index == 69 { number + 0.02 } else { number });
    assert!(!compare(&run(&plan, &other)["weights"], &expected["weights"], Tolerance::OPERATION).passed());
}

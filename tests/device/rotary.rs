//! Tokens turned by their positions along three axes.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::kernel::Rotary;
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::reference::{self, Route};
use orthoformer::view::View;
use orthoformer::{Plan, PlanLimits, Tensor};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, run};

/// Sizes of a problem.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: u64,
    heads: u64,
    /// Frames, rows and columns.
    grid: [u64; 3],
    head_size: u64,
    pairs: u64,
}

impl Sizes {
    fn tokens(&self) -> u64 {
        self.grid.iter().product()
    }

    /// Turns the keys of packed queries, keys and values `[batch, tokens, 3 C]` behind a token of another kind, into another buffer with gaps.
    fn plan(&self) -> Plan {
        let &Self { batch, heads, grid, head_size, pairs } = self;
        let (tokens, channels) = (self.tokens(), heads * head_size);
        let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 16, ..PlanLimits::default() });
        let packed = builder.array("packed", &[batch, 1 + tokens, 3 * channels], Role::Input).expect("small");
        let positions = grid.into_iter().max().unwrap_or(1);
        let table = builder.array("table", &[positions, 4, pairs], Role::Input).expect("small");
        let y = builder.array("y", &[batch, tokens, channels + 3], Role::Output).expect("small");
        let by_heads = |view: View| view.split(2, head_size).ordered(&[0, 2, 1, 3]);
        let [x, y] = [packed.from(1, 1).part(2, channels, channels), y.part(2, 1, channels)].map(by_heads);
        let [_, rows, columns] = grid.map(|size| size as u32);
        builder.launch("rotary", Rotary { x, table, y, rows, columns }).expect("in range");
        builder.build()
    }
}

const fn sizes(batch: u64, heads: u64, grid: [u64; 3], head_size: u64, pairs: u64) -> Sizes {
    Sizes { batch, heads, grid, head_size, pairs }
}

/// No rest and rests of one and more; one frame, one row, one column, one token; heads as published.
const SIZES: [Sizes; 10] = [
    sizes(1, 1, [1, 1, 1], 6, 1),
    sizes(2, 3, [2, 3, 5], 6, 1),
    sizes(1, 2, [3, 2, 2], 7, 1),
    sizes(2, 2, [1, 4, 3], 20, 3),
    sizes(1, 3, [4, 1, 5], 20, 3),
    sizes(3, 1, [4, 5, 1], 11, 1),
    sizes(1, 5, [2, 2, 2], 36, 6),
    sizes(2, 2, [2, 7, 3], 64, 10),
    sizes(1, 2, [3, 3, 3], 80, 13),
    sizes(1, 1, [2, 2, 3], 256, 42),
];

#[test]
fn rotation_rounds_the_edges() {
    for sizes in SIZES {
        let plan = sizes.plan();
        let inputs = random_inputs(&plan, 61);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{sizes:?}"), plan, &inputs);
    }
}

/// With one angle for both elements of a pair it is the rotation of the plane, element by element as one would write it down.
#[test]
fn pairs_turn_by_their_angles() {
    for sizes in SIZES {
        let plan = sizes.plan();
        let mut inputs = random_inputs(&plan, 62);
        let pairs = sizes.pairs as usize;
        let angle = |position: usize, pair: usize| position as f64 * 0.7f64.powi(pair as i32);
        change(&mut inputs, "table", |index, _| {
            let (position, part, pair) = (index / (4 * pairs), index / pairs % 4, index % pairs);
            let angle = angle(position, pair);
            (if part < 2 { angle.cos() } else { angle.sin() }) as f32
        });
        let [_, rows, columns] = sizes.grid.map(|size| size as usize);
        let [heads, size, tokens] = [sizes.heads, sizes.head_size, sizes.tokens()].map(|size| size as usize);
        let channels = heads * size;
        let packed = inputs["packed"].data();
        let turned = |batch: usize, token: usize, head: usize, element: usize| -> f64 {
            let row = &packed[((batch * (1 + tokens)) + 1 + token) * 3 * channels + channels + head * size..][..size];
            let (axis, pair) = (element / 2 / pairs, element / 2 % pairs);
            let position = match axis {
                0 => token / (rows * columns),
                1 => token % (rows * columns) / columns,
                2 => token % columns,
                _ => return row[element].into(),
            };
            let (sine, cosine) = angle(position, pair).sin_cos();
            let [a, b] = [element / 2 * 2, element / 2 * 2 + 1].map(|element| f64::from(row[element]));
            if element.is_multiple_of(2) { cosine * a - sine * b } else { sine * a + cosine * b }
        };
        let shape = vec![sizes.batch as usize, tokens, channels];
        let expected = (0..shape.iter().product()).map(|index| {
            let (column, token) = (index % channels, index / channels);
            turned(token / tokens, token % tokens, column / size, column % size) as f32
        });
        let expected = Tensor::new(shape.clone(), expected.collect()).expect("all of them");
        let by_reference = reference::run(&plan, &inputs, Route::Direct).expect("runs");
        for outputs in [run(&plan, &inputs), by_reference] {
            let written = outputs["y"].data().chunks(channels + 3).flat_map(|row| row[1..=channels].to_vec()).collect();
            let found = Tensor::new(shape.clone(), written).expect("all of them");
            let outcome = compare(&found, &expected, Tolerance::OPERATION);
            assert!(outcome.passed(), "{sizes:?}: {outcome:?}");
        }
    }
}

#[test]
fn nan_stays_in_the_pair_it_touches() {
    let sizes = sizes(1, 2, [2, 2, 3], 20, 3);
    let plan = sizes.plan();
    let mut inputs = random_inputs(&plan, 63);
    // Element 5 of the second head of the fifth token's keys: the second of its pair. And element 19, beyond the axes.
    let row = (1 + 4) * 120 + 40 + 20;
    change(&mut inputs, "packed", |index, number| if index == row + 5 || index == row + 19 { f32::NAN } else { number });
    assert_agree("NaN", &plan, &inputs, Tolerance::OPERATION);
    let found = run(&plan, &inputs).remove("y").expect("written");
    let in_token = found.data()[4 * 43 + 1..][..40].iter().enumerate().filter(|(_, number)| number.is_nan());
    assert_eq!(in_token.map(|(index, _)| index).collect::<Vec<_>>(), [20 + 4, 20 + 5, 20 + 19]);
}

//! Greedy prototypes: every pick is replayed in float64, round the edges of workgroups, tiles and schedules.

use std::time::Duration;

use orthoformer::gpu::RunOptions;
use orthoformer::ops::approximation::{Criterion, Greedy, Schedule, Selection};
use orthoformer::ops::{Operation, trajectories};
use orthoformer::picks::{TOLERANCE, replay_all};
use orthoformer::plan::PlanLimits;
use orthoformer::reference::direct::Replay;
use orthoformer::reference::{self, Route};
use orthoformer::variant::Variant;
use orthoformer::{Shape, Tensor, Tensors};
use support::{change, choice, engine, numbers, plan, random_inputs, rows_input, whole_numbers};

/// Edges of 64 invocations a workgroup and 256 candidates a tile.
const ROWS: [usize; 10] = [1, 2, 63, 64, 65, 255, 256, 257, 513, 1000];
const SIZES: [usize; 6] = [1, 5, 16, 17, 64, 128];
const SCHEDULES: [Schedule; 3] = [Schedule::Looping, Schedule::Stepping, Schedule::Automatic];
const CRITERIA: [Criterion; 2] = [Criterion::Sum, Criterion::Max];

/// `[groups, rows, size, count]`, chosen greedily.
fn operation(sizes: [usize; 4], greedy: &Greedy) -> Operation {
    choice(sizes, Selection::Greedy(greedy.clone()))
}

/// Runs a choice. Picks have to be whole numbers, different within a group, and prototypes have to be the picked rows as they are.
fn choose(what: &str, sizes: [usize; 4], greedy: &Greedy, inputs: &Tensors) -> Tensor {
    let [groups, rows, size, count] = sizes;
    let outputs = support::run(&plan(&operation(sizes, greedy)), inputs);
    let indices = &outputs["indices"];
    assert!(indices.is_indices() && indices.shape() == [groups, count], "{what}: {:?}", indices.shape());
    let copies = outputs["prototypes"].data().chunks(size);
    for (number, (&index, copy)) in indices.data().iter().zip(copies).enumerate() {
        assert!(index.fract() == 0.0 && (0.0..rows as f32).contains(&index), "{what}: pick {number} is {index}");
        let row = number / count * rows + index as usize;
        let picked = &inputs["x"].data()[row * size..][..size];
        assert!(copy.iter().zip(picked).all(|(a, b)| a.to_bits() == b.to_bits()), "{what}: copy {number}");
    }
    for picks in indices.data().chunks(count) {
        let mut sorted = picks.to_vec();
        sorted.sort_by(f32::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]), "{what}: a pick is made twice: {picks:?}");
    }
    outputs["indices"].clone()
}

fn replays(sizes: [usize; 4], greedy: &Greedy, inputs: &Tensors, indices: &Tensor) -> Vec<Replay> {
    replay_all(&operation(sizes, greedy), inputs, indices).expect("replays").expect("greedy")
}

/// As [`choose`], and each pick has to be as good as the best. The smallest margin, too.
fn choose_well(what: &str, sizes: [usize; 4], greedy: &Greedy, inputs: &Tensors) -> (Tensor, f64) {
    let indices = choose(what, sizes, greedy, inputs);
    let replays = replays(sizes, greedy, inputs, &indices);
    assert!(replays.len() == sizes[0] && replays.iter().all(|replay| replay.gap <= TOLERANCE), "{what}: {replays:?}");
    (indices, replays.iter().map(|replay| replay.margin).fold(f64::INFINITY, f64::min))
}

fn greedy(criterion: Criterion, normalise: bool, schedule: Schedule, start: Vec<u32>) -> Greedy {
    Greedy { criterion, normalise, schedule, start: Some(start), ..Greedy::default() }
}

#[test]
fn picks_round_the_edges() {
    let mut turn = 0;
    for rows in ROWS {
        let mut counts = vec![1, 2, rows.saturating_sub(1), rows];
        counts.retain(|&count| (1..=rows).contains(&count));
        counts.sort_unstable();
        counts.dedup();
        for count in counts {
            for (criterion, normalise) in [(CRITERIA[0], true), (CRITERIA[1], true), (CRITERIA[0], false), (CRITERIA[1], false)] {
                turn += 1;
                let sizes = [1 + turn % 3, rows, SIZES[(turn + turn / 4) % 6], count];
                let start = (0..sizes[0]).map(|group| (group * 77 + turn) as u32 % rows as u32).collect();
                let looping = greedy(criterion, normalise, Schedule::Looping, start);
                let inputs = random_inputs(&plan(&operation(sizes, &looping)), turn as u64);
                let what = format!("{sizes:?} {looping:?}");
                let (indices, _) = choose_well(&what, sizes, &looping, &inputs);
                let stepping = Greedy { schedule: Schedule::Stepping, ..looping };
                assert_eq!(indices, choose(&what, sizes, &stepping, &inputs), "{what}, and stepping");
            }
        }
    }
}

#[test]
fn the_reference_picks_the_same_where_nothing_is_close() {
    for (turn, criterion) in CRITERIA.into_iter().enumerate() {
        let sizes = [3, 70, 20, 12];
        let greedy = greedy(criterion, turn == 0, Schedule::Automatic, vec![3, 69, 0]);
        let plan = plan(&operation(sizes, &greedy));
        let inputs = random_inputs(&plan, 40);
        let (indices, margin) = choose_well("reference", sizes, &greedy, &inputs);
        assert!(margin > TOLERANCE, "{criterion:?}: {margin}");
        for route in [Route::Direct, Route::Kernels] {
            let expected = reference::run(&plan, &inputs, route).expect("runs");
            assert_eq!(indices, expected["indices"], "{criterion:?} {route:?}");
        }
    }
}

/// Numbers 0 to `count`, shuffled.
fn shuffled(seed: u64, count: usize) -> Vec<usize> {
    let keys = numbers(seed, count, 1.0);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
    order
}

#[test]
fn permuted_rows_give_permuted_picks() {
    for (seed, criterion) in [(1, CRITERIA[0]), (2, CRITERIA[1]), (3, CRITERIA[0])] {
        let sizes = [1, 300, 20, 24];
        let start = 17;
        let data = numbers(seed, 300 * 20, 1.7);
        let order = shuffled(seed + 10, 300);
        let permuted = order.iter().flat_map(|&row| data[row * 20..][..20].to_vec()).collect();
        let place_of = |row: usize| order.iter().position(|&other| other == row).expect("every row is there");
        let here = greedy(criterion, seed < 3, Schedule::Stepping, vec![start]);
        let there = Greedy { start: Some(vec![place_of(start as usize) as u32]), ..here.clone() };
        let (picks, margin) = choose_well("as they are", sizes, &here, &rows_input(sizes, data));
        let (moved, _) = choose_well("permuted", sizes, &there, &rows_input(sizes, permuted));
        assert!(margin > TOLERANCE, "seed {seed}: two scores are within {margin}");
        assert_eq!(
            whole_numbers(&moved).into_iter().map(|place| order[place as usize] as u32).collect::<Vec<_>>(),
            whole_numbers(&picks)
        );
    }
}

#[test]
fn lengths_do_not_matter_to_directions() {
    let sizes = [2, 200, 24, 30];
    for criterion in CRITERIA {
        let greedy = greedy(criterion, true, Schedule::Automatic, vec![5, 199]);
        let inputs = random_inputs(&plan(&operation(sizes, &greedy)), 5);
        let (picks, margin) = choose_well("lengths as they are", sizes, &greedy, &inputs);
        // Powers of two change no bit of a direction.
        let mut scaled = inputs.clone();
        change(&mut scaled, "x", |index, number| number * 2f32.powi((index / 24 * 7 % 61) as i32 - 30));
        assert_eq!(picks, choose("powers of two", sizes, &greedy, &scaled));
        let factors = numbers(6, 400, 1.0);
        change(&mut scaled, "x", |index, number| number * (1.001 + factors[index / 24]));
        let (other, _) = choose_well("other lengths", sizes, &greedy, &scaled);
        assert!(margin > TOLERANCE && other == picks, "{margin}");
    }
}

#[test]
fn as_many_prototypes_as_rows_are_all_rows() {
    for (sizes, schedule) in [([2, 130, 7, 130], SCHEDULES[0]), ([1, 520, 16, 520], SCHEDULES[1])] {
        for criterion in CRITERIA {
            let greedy = greedy(criterion, true, schedule, vec![1; sizes[0]]);
            let inputs = random_inputs(&plan(&operation(sizes, &greedy)), 7);
            let (picks, _) = choose_well("all", sizes, &greedy, &inputs);
            for picks in whole_numbers(&picks).chunks_mut(sizes[1]) {
                picks.sort_unstable();
                assert!(picks.iter().copied().eq(0..sizes[1] as u32));
            }
        }
    }
}

/// Rows with a one where `ones` says, if it does.
fn one_hot(ones: &[Option<usize>], size: usize) -> Vec<f32> {
    ones.iter().flat_map(|one| (0..size).map(move |column| if Some(column) == *one { 1.0 } else { 0.0 })).collect()
}

#[test]
fn ties_go_to_the_lowest_row() {
    // Duplicates at 0 and 2, 1 and 5, 6 and 7; row 4 is zero.
    let rows = one_hot(&[Some(0), Some(1), Some(0), Some(2), None, Some(1), Some(3), Some(3)], 4);
    // Few rows in one tile, and many in three of them: the two zero rows lie in the last ones.
    let many: Vec<_> = (0..700).map(|row| if row == 300 || row == 600 { None } else { Some(0) }).collect();
    let zeros = vec![0.0; 300 * 3];
    for (criterion, normalise) in [(CRITERIA[0], true), (CRITERIA[1], true), (CRITERIA[0], false), (CRITERIA[1], false)] {
        for schedule in SCHEDULES {
            let check = |sizes: [usize; 4], data: Vec<f32>, start: u32, expected: &[u32]| {
                let greedy = greedy(criterion, normalise, schedule, vec![start]);
                let inputs = rows_input(sizes, data);
                let what = format!("{sizes:?} {greedy:?}");
                let (indices, _) = choose_well(&what, sizes, &greedy, &inputs);
                assert_eq!(whole_numbers(&indices), expected, "{what}");
                let by_reference = reference::run(&plan(&operation(sizes, &greedy)), &inputs, Route::Direct).expect("runs");
                assert_eq!(by_reference["indices"], indices, "{what}");
            };
            check([1, 8, 4, 8], rows.clone(), 2, &[2, 1, 3, 4, 6, 0, 5, 7]);
            check([1, 700, 5, 6], one_hot(&many, 5), 1, &[1, 300, 600, 0, 2, 3]);
            check([1, 300, 3, 5], zeros.clone(), 290, &[290, 0, 1, 2, 3]);
        }
    }
}

#[test]
fn sum_and_largest_are_told_apart() {
    // Beside (1, 0) and (0, 1), (3, 3) has the larger sum and (4, 0) the larger single similarity.
    let inputs = rows_input([1, 4, 2, 4], vec![1.0, 0.0, 0.0, 1.0, 3.0, 3.0, 4.0, 0.0]);
    for (criterion, expected) in [(Criterion::Sum, [0, 1, 3, 2]), (Criterion::Max, [0, 1, 2, 3])] {
        let greedy = greedy(criterion, false, Schedule::Looping, vec![0]);
        let (indices, _) = choose_well("by hand", [1, 4, 2, 4], &greedy, &inputs);
        assert_eq!(whole_numbers(&indices), expected, "{criterion:?}");
    }
}

#[test]
fn huge_and_tiny_rows_count_by_direction_and_those_below_1e_12_as_zero() {
    let sizes = [1, 200, 16, 120];
    for criterion in CRITERIA {
        let greedy = greedy(criterion, true, Schedule::Automatic, vec![3]);
        // Every tenth row has numbers of 1e-13 and so a length below 1e-12.
        let factor = |row: usize| if row.is_multiple_of(10) { 1e-13 } else { [1e18, 1.0, 1e-11][row % 3] };
        let data: Vec<f32> = numbers(8, 200 * 16, 1.7).iter().zip(0..).map(|(number, at)| number * factor(at / 16)).collect();
        let (picks, _) = choose_well("huge and tiny", sizes, &greedy, &rows_input(sizes, data));
        let picks = whole_numbers(&picks);
        let zeros: Vec<u32> = (0..20).map(|row| row * 10).collect();
        assert_eq!((picks[0], &picks[1..21]), (3, zeros.as_slice()), "rows of zero are like nothing");
    }
}

#[test]
fn rows_that_are_not_a_number_are_picked_last() {
    let sizes = [1, 90, 8, 90];
    for (criterion, normalise) in [(Criterion::Sum, true), (Criterion::Max, false)] {
        let greedy = greedy(criterion, normalise, Schedule::Looping, vec![1]);
        let mut inputs = rows_input(sizes, numbers(9, 90 * 8, 1.7));
        change(&mut inputs, "x", |index, number| if index == 30 * 8 + 4 { f32::NAN } else { number });
        let indices = choose("NaN in row 30", sizes, &greedy, &inputs);
        assert_eq!(indices.data()[89], 30.0);
        for route in [Route::Direct, Route::Kernels] {
            let by_reference = reference::run(&plan(&operation(sizes, &greedy)), &inputs, route).expect("runs");
            assert_eq!(by_reference["indices"].data()[89], 30.0, "{route:?}");
        }
        assert!(replays(sizes, &greedy, &inputs, &indices)[0].gap <= TOLERANCE);
        // Picked earlier, it is noticed.
        let mut picks = indices.data().to_vec();
        picks.swap(40, 89);
        let early = Tensor::new(vec![1, 90], picks).expect("as many");
        assert!(replays(sizes, &greedy, &inputs, &early)[0].gap > TOLERANCE);
    }
}

#[test]
fn starts_are_drawn_by_the_seed() {
    let sizes = [8, 300, 6, 3];
    let drawn = |seed| Greedy { seed, ..Greedy::default() };
    let inputs = random_inputs(&plan(&operation(sizes, &drawn(0))), 11);
    let starts = |seed| -> Vec<u32> {
        let (indices, _) = choose_well("drawn starts", sizes, &drawn(seed), &inputs);
        whole_numbers(&indices).chunks(3).map(|picks| picks[0]).collect()
    };
    let first = starts(0);
    assert!(first.iter().any(|&start| start != first[0]), "each group has a start of its own: {first:?}");
    assert_eq!(first, starts(0));
    assert_ne!(first, starts(1));
}

#[test]
fn a_wrong_pick_would_be_noticed() {
    let sizes = [2, 100, 16, 10];
    for normalise in [true, false] {
        let greedy = greedy(Criterion::Sum, normalise, Schedule::Automatic, vec![4, 5]);
        let inputs = random_inputs(&plan(&operation(sizes, &greedy)), 12);
        let (indices, _) = choose_well("good picks", sizes, &greedy, &inputs);
        let gaps = |place: usize, pick: f32| {
            let mut picks = indices.data().to_vec();
            picks[place] = pick;
            let changed = Tensor::new(vec![2, 10], picks).expect("as many");
            replays(sizes, &greedy, &inputs, &changed).iter().map(|replay| replay.gap).collect::<Vec<_>>()
        };
        let picks = &whole_numbers(&indices)[10..];
        let other = (0..100).find(|row| !picks.contains(row)).expect("90 are left") as f32;
        assert!(gaps(14, other)[0] <= TOLERANCE && gaps(14, other)[1] > TOLERANCE, "another row in group 1");
        for (place, pick) in [(10, other), (14, picks[0] as f32), (19, 100.0), (12, -1.0), (12, f32::NAN), (12, f32::INFINITY)] {
            assert_eq!(gaps(place, pick)[1], f64::INFINITY, "{pick} at {place}");
        }
        let few = Tensor::new(vec![2, 9], indices.data()[..18].to_vec()).expect("18");
        let error = replay_all(&operation(sizes, &greedy), &inputs, &few).expect_err("one pick too few");
        assert_eq!(error.to_string(), "tensor \"indices\" has shape [2, 9]; expected 10 picks for each of 2 groups");
    }
}

#[test]
fn selection_takes_less_time_than_exact_attention_in_baselines() {
    let sizes = [12, 1568, 64, 128];
    let greedy = Greedy::default();
    let selection = plan(&operation(sizes, &greedy));
    let shape = Shape::new(1, 12, 8, 196, 64).expect("the published shape");
    let exact = trajectories::plan(&shape, PlanLimits::default()).expect("the published shape");
    let (rows, tokens) = (random_inputs(&selection, 13), random_inputs(&exact, 14));
    let mut times = [[Duration::ZERO; 3]; 2];
    for turn in 0..3 {
        for (times, (plan, inputs)) in times.iter_mut().zip([(&selection, &rows), (&exact, &tokens)]) {
            // Like with like: attention has faster variants on some devices, selection has its baseline only.
            let options = RunOptions { variant: Some(Variant::Baseline), ..RunOptions::default() };
            times[turn] = engine().run(plan, inputs, options).expect("runs").wall;
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    println!("12 x 1568 x 64: 128 prototypes {:?}, exact trajectories {:?} (medians of 3)", times[0][1], times[1][1]);
    match engine().adapter().kind == "cpu" {
        true => assert!(times[0][1] < times[1][1], "{times:?}"),
        // There the selection's many steps, which wait for each other, may count for more than the work.
        false => println!("skipped: which of the two is faster, as {} is no software driver", engine().adapter()),
    }
}

//! Prototypes that are drawn, means, or clusters, and what is refused.

use orthoformer::compare::{Tolerance, compare_values};
use orthoformer::gpu::RunOptions;
use orthoformer::ops::Operation;
use orthoformer::ops::approximation::{Approximation, Candidates, Criterion, Greedy, Prototypes, Selection};
use orthoformer::picks::{TOLERANCE, replay_all};
use orthoformer::plan::PlanLimits;
use orthoformer::reference::direct::replay;
use orthoformer::{Error, Shape, Tensors};
use support::{assert_agree, change, choice, drawn, engine, numbers, plan, random_inputs, rows_input, run, whole_numbers};

/// Rows of a group, from `x [groups, rows, size]`.
fn row(inputs: &Tensors, group: usize, row: u32) -> &[f32] {
    let &[_, rows, size] = inputs["x"].shape() else { panic!("x has three axes") };
    &inputs["x"].data()[(group * rows + row as usize) * size..][..size]
}

#[test]
fn a_part_of_the_candidates_is_drawn_by_the_seed() {
    let sizes = [3, 400, 10, 20];
    let of_seed = |seed, start| Greedy { fraction: 0.25, seed, start, ..Greedy::default() };
    let operation = |greedy: &Greedy| choice(sizes, Selection::Greedy(greedy.clone()));
    let starts = vec![399, 0, 200];
    let given = of_seed(1, Some(starts.clone()));
    let inputs = random_inputs(&plan(&operation(&given)), 10);
    for greedy in [of_seed(1, None), given] {
        let picks_of = |greedy| run(&plan(&operation(greedy)), &inputs)["indices"].clone();
        let looked_at = drawn(&plan(&operation(&greedy)), "candidate indices");
        assert_eq!(looked_at.len(), 300);
        let indices = picks_of(&greedy);
        let replays = replay_all(&operation(&greedy), &inputs, &indices).expect("fits").expect("greedy");
        assert!(replays.iter().all(|replay| replay.gap <= TOLERANCE), "{replays:?}");
        for (group, (ids, picks)) in looked_at.chunks(100).zip(whole_numbers(&indices).chunks(20)).enumerate() {
            let candidates: Vec<&[f32]> = ids.iter().map(|&id| row(&inputs, group, id)).collect();
            let place = |pick| ids.binary_search(pick).expect("a pick is one of those drawn");
            let replay = replay(&candidates, true, Criterion::Sum, None, &picks.iter().map(place).collect::<Vec<_>>());
            assert!(replay.gap <= TOLERANCE, "group {group}: {replay:?}");
            assert!(greedy.start.is_none() || picks[0] == starts[group], "a given start stays the first");
        }
        assert_eq!(indices, picks_of(&greedy), "the same seed");
        assert_ne!(indices, picks_of(&Greedy { seed: 2, ..greedy.clone() }), "another seed");
    }
    // Never fewer than are picked, and never more than there are.
    for (fraction, expected) in [(1e-9, 20), (0.051, 20), (0.999, 399)] {
        let greedy = Greedy { fraction, ..Greedy::default() };
        assert_eq!(drawn(&plan(&operation(&greedy)), "candidate indices").len(), 3 * expected);
    }
}

#[test]
fn random_prototypes_are_different_rows_drawn_by_the_seed() {
    for sizes in [[3, 100, 7, 20], [1, 5, 64, 5], [2, 1, 1, 1]] {
        let operation = |seed| choice(sizes, Selection::Random { seed });
        let inputs = random_inputs(&plan(&operation(0)), 1);
        let found = run(&plan(&operation(0)), &inputs);
        assert!(!found.contains_key("indices"));
        let copies: Vec<&[f32]> = found["prototypes"].data().chunks(sizes[2]).collect();
        for (group, copies) in copies.chunks(sizes[3]).enumerate() {
            let row_of = |copy: &&[f32]| (0..sizes[1] as u32).find(|&number| row(&inputs, group, number) == *copy);
            let rows: Vec<u32> = copies.iter().map(|copy| row_of(copy).expect("a prototype is a row")).collect();
            assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "{rows:?}");
        }
        assert_eq!(found, run(&plan(&operation(0)), &inputs));
        if sizes[3] < sizes[1] {
            assert_ne!(found, run(&plan(&operation(1)), &inputs));
            assert_ne!(copies[..20], copies[20..40], "groups have draws of their own");
        }
    }
}

/// Means of `count` runs of consecutive rows; where these do not divide them, the last runs are one row longer.
fn means_of(rows: &[&[f32]], count: usize) -> Vec<f32> {
    let (short, longer) = (rows.len() / count, rows.len() % count);
    let mut means = Vec::new();
    let mut first = 0;
    for run in 0..count {
        let length = if run < count - longer { short } else { short + 1 };
        let of_run = &rows[first..first + length];
        let mean = |column: usize| of_run.iter().map(|row| f64::from(row[column])).sum::<f64>() / length as f64;
        means.extend((0..rows[0].len()).map(|column| mean(column) as f32));
        first += length;
    }
    assert_eq!(first, rows.len());
    means
}

#[test]
fn segment_means_are_means_of_consecutive_rows() {
    for sizes in [[2, 12, 5, 4], [1, 13, 16, 4], [3, 70, 3, 69], [1, 9, 128, 9], [1, 9, 200, 5], [1, 300, 1, 1], [2, 100, 6, 7]] {
        let plan = plan(&choice(sizes, Selection::SegmentMeans));
        let inputs = random_inputs(&plan, 2);
        let rows: Vec<&[f32]> = inputs["x"].data().chunks(sizes[2]).collect();
        let expected: Vec<f32> = rows.chunks(sizes[1]).flat_map(|rows| means_of(rows, sizes[3])).collect();
        let outcome = compare_values(run(&plan, &inputs)["prototypes"].data(), &expected, Tolerance::OPERATION);
        assert!(outcome.passed(), "{sizes:?}: {outcome:?}");
    }
}

/// A head's tokens of one frame, or of all of them place by place: queries, then keys if they are candidates.
fn in_order<'t>(inputs: &'t Tensors, shape: &Shape, head: usize, frame: Option<usize>, candidates: Candidates) -> Vec<&'t [f32]> {
    let (frames, patches, size) = (shape.frames() as usize, shape.patches() as usize, shape.head_size() as usize);
    let names: &[&str] = if candidates == Candidates::Queries { &["q"] } else { &["q", "k"] };
    let mut rows = Vec::new();
    for name in names {
        for place in 0..patches {
            for frame in frame.map_or(0..frames, |frame| frame..frame + 1) {
                rows.push(&inputs[*name].data()[((head * frames + frame) * patches + place) * size..][..size]);
            }
        }
    }
    rows
}

#[test]
fn segment_means_of_clips_go_place_by_place() {
    let shapes =
        [([2, 3, 3, 10, 6], 5), ([2, 3, 3, 10, 6], 4), ([1, 2, 1, 13, 4], 4), ([1, 1, 5, 3, 8], 3), ([1, 2, 4, 7, 5], 6)];
    for (sizes, count) in shapes {
        let [batch, heads, frames, patches, size] = sizes;
        let shape = Shape::new(batch, heads, frames, patches, size).expect("small");
        for candidates in [Candidates::Queries, Candidates::QueriesAndKeys] {
            for per_frame in [false, true] {
                let selection = Selection::SegmentMeans;
                let prototypes = Prototypes { count: count as u32, candidates, selection, per_frame };
                let plan = plan(&Operation::Trajectories(shape, Approximation::Orthoformer(prototypes)));
                let inputs = random_inputs(&plan, 3);
                let options = RunOptions { poison: true, read_scratch: true, ..RunOptions::default() };
                let found = engine().run(&plan, &inputs, options).expect("runs").outputs;
                let own_frames: Vec<_> = if per_frame { (0..frames).map(Some).collect() } else { vec![None] };
                let groups = (0..batch * heads).flat_map(|head| own_frames.iter().map(move |&frame| (head, frame)));
                let means = |(head, frame)| means_of(&in_order(&inputs, &shape, head, frame, candidates), count);
                let expected: Vec<f32> = groups.flat_map(means).collect();
                let outcome = compare_values(found["landmarks"].data(), &expected, Tolerance::OPERATION);
                assert!(outcome.passed(), "{sizes:?} {candidates:?} per frame {per_frame}: {outcome:?}");
            }
        }
    }
}

#[test]
fn clusters_agree_with_the_reference() {
    let shapes =
        [[1, 1, 1, 1], [2, 63, 4, 5], [1, 65, 5, 65], [3, 100, 17, 12], [1, 300, 64, 2], [1, 130, 128, 40], [1, 70, 256, 12]];
    for sizes in shapes {
        for (iterations, spherical) in [(1, false), (1, true), (4, false), (5, true)] {
            let selection = Selection::KMeans { iterations, seed: 5, spherical };
            let plan = plan(&choice(sizes, selection));
            let what = format!("{sizes:?}, {iterations} iterations, spherical {spherical}");
            assert_agree(&what, &plan, &random_inputs(&plan, 4), Tolerance::OPERATION);
        }
    }
}

#[test]
fn clusters_that_lie_apart_are_found() {
    let (sizes, count) = ([1, 60, 6, 4], 4);
    for spherical in [false, true] {
        // Row by row in turn, round axes in turn; by angle, lengths differ by a factor of eight.
        let noise = numbers(6, 60 * 6, 0.2);
        let length = |row: usize| if spherical { 4.0 * [1.0, 8.0, 3.0][row / 4 % 3] } else { 8.0 };
        let number = |(index, noise): (usize, &f32)| {
            let (row, column) = (index / 6, index % 6);
            length(row) * (if column == row % 4 { 1.0 } else { 0.0 } + noise * 0.5)
        };
        let inputs = rows_input(sizes, noise.iter().enumerate().map(number).collect());
        let clustered = |seed| plan(&choice(sizes, Selection::KMeans { iterations: 3, seed, spherical }));
        let first = |seed: &u64| drawn(&clustered(*seed), "first centres");
        let apart = |seed: &u64| (0..4).all(|cluster| first(seed).iter().any(|&row| row as usize % 4 == cluster));
        let seed = (0..100).find(apart).expect("some seed starts in each cluster");
        let found = run(&clustered(seed), &inputs);
        let expected: Vec<f32> = first(&seed)
            .iter()
            .flat_map(|start| {
                means_of(&(0..60).filter(|i| i % 4 == start % 4).map(|i| row(&inputs, 0, i)).collect::<Vec<_>>(), 1)
            })
            .collect();
        let outcome = compare_values(found["prototypes"].data(), &expected, Tolerance::OPERATION);
        assert!(outcome.passed() && outcome.count == count * 6, "spherical {spherical}: {outcome:?}");
    }
}

#[test]
fn empty_clusters_stay_where_they_were() {
    for spherical in [false, true] {
        for sizes in [[1, 30, 5, 30], [2, 70, 16, 9]] {
            let plan = plan(&choice(sizes, Selection::KMeans { iterations: 3, seed: 1, spherical }));
            // All rows are the same, or zero: they belong to the first centre.
            let mut inputs = random_inputs(&plan, 7);
            for number in [0.5, 0.0] {
                change(&mut inputs, "x", |_, _| number);
                let found = run(&plan, &inputs);
                assert!(found["prototypes"].data().iter().all(|&found| (found - number).abs() < 1e-6), "{sizes:?} {number}");
            }
            // Half of the rows are.
            let mut inputs = random_inputs(&plan, 8);
            change(&mut inputs, "x", |index, number| if index / sizes[2] % 2 == 0 { 1.0 } else { number });
            assert_agree("duplicates", &plan, &inputs, Tolerance::OPERATION);
        }
    }
}

fn refusal(sizes: [usize; 4], selection: Selection) -> String {
    choice(sizes, selection).plan(PlanLimits::default()).expect_err("must be refused").to_string()
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    for selection in [Selection::Greedy(Greedy::default()), Selection::Random { seed: 0 }, Selection::SegmentMeans] {
        let refused = |sizes| refusal(sizes, selection.clone());
        assert_eq!(refused([1, 10, 4, 0]), "prototypes is 0; it must be at least 1");
        assert_eq!(refused([1, 10, 4, 11]), "prototypes is 11; the most that is supported is 10");
        assert_eq!(refused([1, 10, 257, 2]), "row size is 257; the most that is supported is 256");
        assert_eq!(refused([1, 10, 0, 2]), "row size is 0; it must be at least 1");
        assert_eq!(refused([1, 0, 4, 2]), "rows is 0; it must be at least 1");
        assert_eq!(refused([0, 10, 4, 2]), "groups is 0; it must be at least 1");
        assert!(refused([1, 1 << 40, 4, 2]).contains("does not fit in 32 bits"));
        assert_eq!(refused([1, (1 << 24) + 1, 1, 2]), "candidates is 16777217; the most that is supported is 16777216");
    }
    // Where keys are candidates too, there may be twice as many prototypes as tokens.
    let shape = Shape::new(1, 1, 2, 5, 4).expect("small");
    for (per_frame, most) in [(false, 20), (true, 10)] {
        let of_count = |count| {
            let (candidates, selection) = (Candidates::QueriesAndKeys, Selection::SegmentMeans);
            let prototypes = Prototypes { count, candidates, selection, per_frame };
            Operation::Trajectories(shape, Approximation::Orthoformer(prototypes)).plan(PlanLimits::default())
        };
        assert!(of_count(most).is_ok());
        let error = of_count(most + 1).expect_err("more than candidates");
        assert!(
            matches!(error, Error::TooLarge { what: "prototypes", given, most: found } if given == found + 1 && found == u64::from(most))
        );
    }
}

#[test]
fn starts_and_fractions_that_make_no_sense_are_refused() {
    let refused = |greedy| refusal([2, 10, 4, 3], Selection::Greedy(greedy));
    let start = |start: &[u32]| refused(Greedy { start: Some(start.to_vec()), ..Greedy::default() });
    assert_eq!(start(&[0, 10]), "start 10 is out of range; it must be below 10");
    assert_eq!(start(&[10]), "start 10 is out of range; it must be below 10");
    assert_eq!(start(&[0, 1, 2]), "tensor \"start\" has shape [3]; expected one for each of 2 groups, or one for all");
    let from = |start: &[u32]| {
        let greedy = Greedy { start: Some(start.to_vec()), ..Greedy::default() };
        plan(&choice([2, 10, 4, 3], Selection::Greedy(greedy)))
    };
    assert_eq!(from(&[7]), from(&[7, 7]), "one serves all groups");
    for (fraction, given) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN"), (1.5, "1.5"), (f64::INFINITY, "inf")] {
        let message = refused(Greedy { fraction, ..Greedy::default() });
        assert_eq!(message, format!("fraction of candidates: {given:?} is not valid; expected above 0 and at most 1"));
    }
}

#[test]
fn indices_and_iterations_that_make_no_sense_are_refused() {
    let given = |indices: &[u32]| refusal([2, 10, 4, 3], Selection::Given(indices.to_vec()));
    assert_eq!(given(&[0, 1, 2, 3, 4, 10]), "given prototype 10 is out of range; it must be below 10");
    assert_eq!(given(&[0, 1, 2, 3, 4]), "tensor \"given prototypes\" has shape [5]; expected 3 for each of 2 groups");
    assert_eq!(given(&[]), "tensor \"given prototypes\" has shape [0]; expected 3 for each of 2 groups");
    let iterations = |iterations| refusal([2, 10, 4, 3], Selection::KMeans { iterations, seed: 0, spherical: false });
    assert_eq!(iterations(0), "iterations of k-means is 0; it must be at least 1");
    assert_eq!(iterations(65_536), "iterations of k-means is 65536; the most that is supported is 65535");
    // Given ones may repeat, in any order.
    let plan = plan(&choice([2, 10, 4, 3], Selection::Given(vec![9, 9, 0, 4, 3, 2])));
    let inputs = random_inputs(&plan, 9);
    let rows = [9, 9, 0].map(|number| row(&inputs, 0, number)).into_iter().chain([4, 3, 2].map(|number| row(&inputs, 1, number)));
    assert_eq!(run(&plan, &inputs)["prototypes"].data(), rows.collect::<Vec<_>>().concat());
}

//! The longest loops of every kernel run to their end.
//!
//! Mesa's software driver counts the iterations of all loops of an invocation together, and ends them without a word after 65,535. So the count
//! that `KernelParams::iterations` makes has to be right: each kernel runs here with the largest size that is planned.

use orthoformer::Tensors;
use orthoformer::compare::{Tolerance, compare};
use orthoformer::kernel::{
    AttendParams, AttendRowsParams, AttendWeightsParams, AttendWindowsParams, ClusterMeansParams, CoarseMotionParams,
    DeformableParams, DeformableScoresParams, FeatureAttendParams, FeatureRowsParams, FeaturesParams, GatherRowsParams,
    InverseStartParams, Kernel, KernelParams, LayerNormParams, Linear, LinearParams, MatchBlocksParams, NearestParams,
    SegmentMeansParams, SelectParams, SoftmaxRowsParams, TemporalPoolParams, TemporalWeightsParams,
};
use orthoformer::plan::{Element, Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::reference::{self, Route};
use orthoformer::shape::MAX_LOOP;
use orthoformer::variant::Variant;
use orthoformer::view::View;
use support::{change, engine, random_inputs, run_as, variants};

/// The largest number for which a kernel's loops still run to their end on every driver.
fn most(iterations: impl Fn(u32) -> u64) -> u32 {
    let (mut low, mut high) = (1, 1 << 22);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        (low, high) = if iterations(middle) <= u64::from(MAX_LOOP) { (middle, high) } else { (low, middle) };
    }
    low
}

/// Plans one dispatch, with views without gaps, over buffers just as large as it needs, but for what is not there: variants that read vectors bind
/// four elements.
fn single<P: KernelParams>(params: P) -> orthoformer::Result<Plan> {
    let params = params.dense();
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let mut buffers = Vec::new();
    for (row, extent) in P::KERNEL.row().bindings.iter().zip(params.accesses()) {
        let elements = extent.end;
        let role = match (row.written, row.name) {
            (true, _) => Role::Output,
            (false, "chosen") => Role::Constant(vec![1; elements as usize]),
            (false, _) => Role::Input,
        };
        buffers.push(builder.buffer(row.name, &[if elements == 0 { 4 } else { elements }], role)?);
    }
    if P::KERNEL == Kernel::Features {
        // What this kernel changes in place has to be there: `x w`, with one element in `x`.
        let outputs = params.accesses()[1].end;
        let x = builder.array("x", &[1, 1], Role::Input)?;
        let w = builder.array("w", &[outputs, 1], Role::Input)?;
        builder.launch("projections", Linear::new(x, w, View::of(buffers[1], &[1, outputs])))?;
    }
    let bindings: Vec<_> = buffers.into_iter().map(|buffer| builder.bind_all(buffer)).collect::<orthoformer::Result<_>>()?;
    builder.push("one dispatch", params, &bindings)?;
    Ok(builder.build())
}

/// Checks the dispatch with the largest count, whose inputs are random but for what `prepare` changes, and that one tile more is refused.
fn check_longest<P: KernelParams + std::fmt::Debug>(of_count: impl Fn(u32) -> P, prepare: impl Fn(&mut Tensors)) {
    let count = most(|count| of_count(count).iterations());
    let what = format!("{count}: {:?}", of_count(count));
    let plan = single(of_count(count)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut inputs = random_inputs(&plan, 12);
    prepare(&mut inputs);
    if engine().capabilities().f16 {
        runs_to_its_end(&what, &plan.clone().stored_as(Element::F16), &inputs, 1e-2);
    }
    runs_to_its_end(&what, &plan, &inputs, 1e-4);
    let error = single(of_count(count + 64)).expect_err("one more is refused");
    assert!(error.to_string().contains("loop iterations of an invocation"), "{error}");
}

/// Compares every variant with the reference, relative to the largest number.
fn runs_to_its_end(what: &str, plan: &Plan, inputs: &Tensors, relative: f64) {
    let expected = reference::run(plan, inputs, Route::Direct).expect("the reference runs");
    let runs = variants(plan).into_iter().flat_map(|variant| {
        let outputs = run_as(plan, inputs, Some(variant));
        outputs.into_iter().map(move |(name, found)| (variant, name, found))
    });
    for (variant, name, found) in runs {
        // Weights of many keys are small: what is tolerated has to be small beside them. Scores of what was picked are 3e38.
        let sizes = expected[&name].data().iter().map(|number| number.abs()).filter(|&size| size < 1e37);
        let largest = sizes.fold(0f32, f32::max);
        let tolerance = Tolerance { absolute: relative * f64::from(largest), relative };
        let outcome = compare(&found, &expected[&name], tolerance);
        assert!(largest > 0.0 && outcome.passed(), "{name} of {what} ({variant}): {outcome:?}");
    }
}

fn as_they_are(_: &mut Tensors) {}

/// Keeps the scores of many keys in range.
fn smaller_queries(inputs: &mut Tensors) {
    change(inputs, "queries", |_, number| number * 0.3);
}

/// A last number that a loop which ends early misses.
fn last_is(inputs: &mut Tensors, name: &str, last: f32) {
    let count = inputs[name].data().len();
    change(inputs, name, |index, number| if index + 1 == count { last } else { number });
}

#[test]
fn attention_runs_to_its_end() {
    for (head_size, value_size) in [(4, 4), (64, 64), (80, 16), (128, 128), (256, 128)] {
        let sizes = AttendParams { batch: 1, heads: 1, groups: 1, rows: 3, segments: 1, scale: 0.2, ..AttendParams::default() };
        check_longest(|key_count| AttendParams { key_count, head_size, value_size, ..sizes }, smaller_queries);
        let sizes =
            AttendRowsParams { batch: 1, heads: 1, rows: 2, chosen_count: 2, segments: 1, scale: 0.2, ..Default::default() };
        check_longest(|key_count| AttendRowsParams { key_count, head_size, ..sizes }, smaller_queries);
        let sizes = AttendWeightsParams { batch: 1, heads: 1, groups: 1, rows: 3, scale: 0.2, ..AttendWeightsParams::default() };
        check_longest(|key_count| AttendWeightsParams { key_count, head_size, ..sizes }, smaller_queries);
    }
}

#[test]
fn products_and_the_temporal_stage_run_to_their_end() {
    let sizes = LinearParams { batch: 1, groups: 1, rows: 2, outputs: 3, product_scale: 1.0, ..LinearParams::default() };
    check_longest(|inputs| LinearParams { inputs, ..sizes }, as_they_are);
    check_longest(|inputs| LinearParams { inputs: inputs / 4 * 4, outputs: 4, ..sizes }, as_they_are);
    for (heads, width) in [(12, 768), (1, 15), (130, 16)] {
        let sizes = TemporalWeightsParams { batch: 1, heads, rows: 1, width, scale: 0.05, ..TemporalWeightsParams::default() };
        check_longest(|frames| TemporalWeightsParams { frames, ..sizes }, smaller_queries);
    }
    let sizes = TemporalPoolParams { batch: 1, heads: 1, rows: 1, width: 3, ..TemporalPoolParams::default() };
    check_longest(|frames| TemporalPoolParams { frames, ..sizes }, as_they_are);
}

#[test]
fn copies_of_rows_run_to_their_end() {
    for normalise in [0, 1] {
        let two = GatherRowsParams { batch: 1, heads: 1, groups: 1, rows: 2, query_count: 2, key_count: 1, ..Default::default() };
        let copied = GatherRowsParams { blocks: 1, has_keys: 1, has_rows: 1, normalise, ..two };
        let prepare = |inputs: &mut Tensors| change(inputs, "indices", |index, _| [2.0, 1.0][index]);
        check_longest(|row_size| GatherRowsParams { row_size, ..copied }, prepare);
    }
}

/// Selections with whole numbers in their candidates, whose scores are exact: the whole state has to be right.
fn check_selection(of_count: impl Fn(u32) -> SelectParams) {
    let whole = |params: SelectParams| SelectParams { groups: 1, tiles: 1, grain: 1.0, grains_per_unit: 1.0, ..params };
    let prepare = |inputs: &mut Tensors| {
        change(inputs, "candidates", |_, number| (number * 2.0).round());
        change(inputs, "ids", |index, _| (index + 1) as f32);
        change(inputs, "starts", |_, _| 3.0);
    };
    check_longest(|count| whole(of_count(count)), prepare);
}

#[test]
fn greedy_selection_runs_to_its_end() {
    for largest in [0, 1] {
        check_selection(|picks| SelectParams { rows: 1100, blocks: 4, total_picks: 1100, picks, largest, ..Default::default() });
        check_selection(|picks| SelectParams { rows: 900, blocks: 32, total_picks: 900, picks, largest, ..Default::default() });
        check_selection(|rows| SelectParams { rows, blocks: 4, total_picks: 2, picks: 2, largest, ..Default::default() });
        // Numbers of 128 columns for as many candidates as there are iterations exceed a binding; with 16 picks they do not.
        check_selection(|rows| SelectParams { rows, blocks: 32, total_picks: 16, picks: 16, largest, ..Default::default() });
    }
}

#[test]
fn clusters_run_to_their_end() {
    for (size, spherical) in [(4, 0), (4, 1), (30, 0), (128, 1)] {
        let rows = NearestParams { groups: 1, rows: 70, size, blocks: size.div_ceil(4), spherical, ..NearestParams::default() };
        // The first row is at the last centre.
        let prepare = |inputs: &mut Tensors| {
            let last = inputs["centres"].data().len() - size as usize;
            change(inputs, "centres", |index, number| if index >= last { 5.0 } else { number });
            change(inputs, "x", |index, number| if index % 280 < 4 { 5.0 } else { number });
        };
        check_longest(|clusters| NearestParams { clusters, ..rows }, prepare);
    }
    let three = ClusterMeansParams { groups: 1, clusters: 3, size: 5, blocks: 2, ..ClusterMeansParams::default() };
    let prepare = |inputs: &mut Tensors| change(inputs, "assignments", |index, _| (index % 2) as f32);
    check_longest(|rows| ClusterMeansParams { rows, ..three }, prepare);
}

#[test]
fn means_and_inverses_run_to_their_end() {
    let two = SegmentMeansParams { batch: 1, heads: 1, groups: 1, frames: 3, segments: 2, size: 2, ..Default::default() };
    let of_patches = |patches: u32| SegmentMeansParams { patches, ..two };
    check_longest(of_patches, as_they_are);
    // Small numbers in large matrices: what comes out is near one.
    let prepare = |inputs: &mut Tensors| change(inputs, "matrices", |_, number| number * 1e-6);
    check_longest(|size| InverseStartParams { groups: 2, size, ..InverseStartParams::default() }, prepare);
}

#[test]
fn features_run_to_their_end() {
    let rows = FeatureRowsParams { batch: 1, heads: 1, rows: 2, square_scale: 1e-3, ..FeatureRowsParams::default() };
    let prepare = |inputs: &mut Tensors| last_is(inputs, "projections", 9.0);
    check_longest(|features| FeatureRowsParams { size: 64, features, ..rows }, prepare);
    check_longest(|size| FeatureRowsParams { size, features: 100, ..rows }, prepare);
    let three = FeaturesParams { batch: 1, heads: 1, rows: 3, ..FeaturesParams::default() };
    for shared_max in [0, 1] {
        check_longest(|features| FeaturesParams { features, shared_max, ..three }, as_they_are);
    }
    let three = FeatureAttendParams { batch: 1, heads: 1, rows: 3, segments: 1, ..FeatureAttendParams::default() };
    for value_size in [4, 64, 128] {
        let of_features = |features| FeatureAttendParams { features, value_size, ..three };
        // Features are positive.
        let prepare = |inputs: &mut Tensors| {
            for name in ["queries", "key_sums"] {
                change(inputs, name, |_, number| number.abs() + 0.1);
            }
        };
        check_longest(of_features, prepare);
    }
}

#[test]
fn normalisation_runs_to_its_end() {
    let two = LayerNormParams { batch: 1, rows: 2, epsilon: 1e-6, ..LayerNormParams::default() };
    let of_size = |size| LayerNormParams { size, ..two };
    check_longest(of_size, |inputs| last_is(inputs, "x", 1e3));
}

/// Three tokens, rolled to the end of a window of so many places that is padded else, and that see each other only.
fn window_of(side: u32) -> AttendWindowsParams {
    let size = 128;
    let one = AttendWindowsParams { batch: 1, heads: 1, head_size: size, value_size: size, scale: 0.2, ..Default::default() };
    let grid = AttendWindowsParams { frames: 1, rows: 1, columns: 3, window_frames: 1, window_rows: 1, has_padding: 1, ..one };
    let rolled = AttendWindowsParams { table_frames: 1, table_rows: 1, shift_columns: 3, ..grid };
    AttendWindowsParams { window_columns: side.max(4), table_columns: side.max(4), ..rolled }
}

#[test]
fn windows_run_to_their_end() {
    check_longest(window_of, as_they_are);
}

/// The broadcast variant's loops are longer than the baseline's: the longest that it takes, with scores that need more than float32.
#[test]
fn windows_by_broadcast_run_to_their_end() {
    let planned = |side| single(window_of(side)).expect("fewer than the baseline's");
    let takes = |plan: &Plan| engine().would_run_as(plan.dispatches().next().expect("one"), Variant::Broadcast);
    if !takes(&planned(4)) {
        println!("skipped: windows by broadcast, as the adapter has no subgroups for them");
        return;
    }
    let (mut low, mut high) = (4, 4096);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        (low, high) = if takes(&planned(middle)) { (middle, high) } else { (low, middle) };
    }
    assert!((500..4000).contains(&low), "{low}");
    let plan = planned(low);
    let mut inputs = random_inputs(&plan, 13);
    change(&mut inputs, "queries", |_, number| number * 10.0);
    runs_to_its_end(&format!("{low} places"), &plan, &inputs, 1e-4);
}

#[test]
fn softmax_of_rows_runs_to_its_end() {
    let of_keys = |keys| SoftmaxRowsParams { batch: 1, groups: 1, rows: 2, keys, has_sums: 1, ..SoftmaxRowsParams::default() };
    check_longest(of_keys, |inputs| last_is(inputs, "scores", 20.0));
}

#[test]
fn samples_and_motion_run_to_their_end() {
    let three = DeformableParams { batch: 1, heads: 1, frames: 1, grid_rows: 1, grid_columns: 3, ..DeformableParams::default() };
    let of_samples = |samples| DeformableParams { samples, sub_clip: 1, head_size: 5, ..three };
    check_longest(of_samples, |inputs| last_is(inputs, "logits", 9.0));
    let two =
        DeformableScoresParams { batch: 1, heads: 1, frames: 1, grid_rows: 1, grid_columns: 2, scale: 0.1, ..Default::default() };
    let of_size = |head_size| DeformableScoresParams { head_size, sub_clip: 1, samples: 3, ..two };
    check_longest(of_size, as_they_are);
    let sizes = MatchBlocksParams { batch: 1, frames: 2, grid_rows: 3, grid_columns: 2, sub_clip: 2, ..Default::default() };
    let grey = MatchBlocksParams { red_scale: 1.0, green_scale: 1.0, blue_scale: 1.0, red_shift: 20.0, ..sizes };
    let of_radius = |radius| MatchBlocksParams { channels: 3, side: 32, radius, ..grey };
    check_longest(of_radius, |inputs| change(inputs, "clip", |_, number| (number * 10.0).round()));
    let cell = CoarseMotionParams { batch: 1, frames: 1, grid_rows: 1, grid_columns: 1, sub_clip: 1, ..Default::default() };
    check_longest(|width| CoarseMotionParams { height: 1, width, ..cell }, |inputs| last_is(inputs, "motion", 1e6));
    check_longest(|height| CoarseMotionParams { height, width: 3, ..cell }, |inputs| last_is(inputs, "motion", 1e6));
}

//! Softmax rows of all queries against their reference: round the edges of blocks, and where scores need more than float32.

use orthoformer::Tensors;
use orthoformer::compare::Tolerance;
use orthoformer::kernel::{AttendWeightsParams, KernelParams, LinearParams};
use orthoformer::plan::{Binding, Dispatch, Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::shape::MAX_LOOP;
use orthoformer::variant::{self, Capabilities, LaunchConfig, Variant};
use orthoformer::view::BoundView;
use support::{assert_agree, assert_agree_as_half, change, random_inputs};

/// `[head size, keys, rows]`: round 32 rows a workgroup, 64 keys a block, two blocks and three.
const FOURS: [[u32; 3]; 9] = [
    [4, 4, 1],
    [12, 60, 31],
    [64, 64, 32],
    [20, 68, 33],
    [128, 124, 3],
    [64, 128, 65],
    [76, 132, 30],
    [4, 188, 63],
    [16, 196, 64],
];
/// Sizes that only the baseline takes.
const OTHERS: [[u32; 3]; 3] = [[5, 8, 9], [64, 15, 65], [30, 33, 7]];

const OUTER: [u32; 3] = [2, 2, 3];
const GROUPS: u32 = OUTER[0] * OUTER[1] * OUTER[2];

/// Everything at an offset, gaps between keys, a negative scale.
fn params([head_size, keys, rows]: [u32; 3]) -> AttendWeightsParams {
    let ([batch, heads, groups], key) = (OUTER, head_size + 4);
    AttendWeightsParams {
        batch,
        heads,
        groups,
        rows,
        key_count: keys,
        head_size,
        scale: -0.3,
        queries: BoundView::new(8, &[heads * groups * rows, groups * rows, rows, 1].map(|rows| rows * head_size)),
        keys: BoundView::new(key, &[heads * groups * keys, groups * keys, keys, 1].map(|keys| keys * key)),
        weights: BoundView::new(0, &[heads * groups * rows, groups * rows, rows, 1].map(|rows| rows * keys)),
    }
}

fn buffer(builder: &mut PlanBuilder, name: &str, numbers: u32, role: Role) -> Binding {
    let buffer = builder.buffer(name, &[numbers.into()], role).expect("small");
    builder.bind_all(buffer).expect("small")
}

fn push_weights(builder: &mut PlanBuilder, p: AttendWeightsParams, role: Role) -> Binding {
    let groups = p.batch * p.heads * p.groups;
    let queries = buffer(builder, "q", p.queries.offset + groups * p.rows * p.head_size, Role::Input);
    let keys = buffer(builder, "k", p.keys.offset + groups * p.key_count * p.keys.stride(3), Role::Input);
    let weights = buffer(builder, "weights", groups * p.rows * p.key_count, role);
    builder.push("weights", p, &[queries, keys, weights]).expect("in range");
    weights
}

fn weights_plan(p: AttendWeightsParams) -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    push_weights(&mut builder, p, Role::Output);
    builder.build()
}

/// The weights as scratch, which may be stored as float16, and what they make of values.
fn tokens_plan(p: AttendWeightsParams) -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let weights = push_weights(&mut builder, p, Role::Scratch);
    let values = buffer(&mut builder, "v", 4 * p.key_count, Role::Input);
    let rows = GROUPS * p.rows;
    let tokens = buffer(&mut builder, "tokens", 4 * rows, Role::Output);
    let sizes = LinearParams { batch: 1, groups: 1, rows, inputs: p.key_count, outputs: 4, ..LinearParams::default() };
    let product = LinearParams { product_scale: 1.0, ..sizes }.dense();
    builder.push("tokens", product, &[weights, values, values, values, tokens]).expect("in range");
    builder.build()
}

/// How the weights would run on a CPU driver's subgroups, on any adapter.
fn broadcast(plan: &Plan) -> Result<LaunchConfig, String> {
    let dispatch: &Dispatch = plan.dispatches().next().expect("one");
    let capabilities = Capabilities {
        cpu: true,
        subgroup: Some(8),
        invocations: 256,
        loop_iterations: Some(MAX_LOOP),
        ..Capabilities::default()
    };
    variant::configure(dispatch, Variant::Broadcast, &capabilities)
}

/// Queries by turns: long ones, whose scores need more than float32, tiny ones, zero, and three as they are; some keys of zero.
fn make_hard(inputs: &mut Tensors, p: &AttendWeightsParams) {
    change(inputs, "q", |index, number| match (index.max(8) - 8) / p.head_size as usize % 6 {
        0 => number * 300.0,
        2 => number * 1e-36,
        3 => 0.0,
        _ => number,
    });
    let key = p.keys.stride(3) as usize;
    change(inputs, "k", |index, number| if index / key % 7 == 3 { 0.0 } else { number });
}

#[test]
fn weights_round_the_edges() {
    for sizes in FOURS.into_iter().chain(OTHERS) {
        let p = params(sizes);
        let plan = weights_plan(p);
        assert_eq!(broadcast(&plan).is_ok(), FOURS.contains(&sizes), "{sizes:?}");
        let mut inputs = random_inputs(&plan, 21);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        make_hard(&mut inputs, &p);
        assert_agree(&format!("{sizes:?}, some logits large"), &plan, &inputs, Tolerance::OPERATION);
        let plan = tokens_plan(p);
        assert_agree_as_half(&format!("{sizes:?}"), plan.clone(), &random_inputs(&plan, 22));
    }
}

#[test]
fn peaks_in_any_block_count() {
    // The last key of a block is far above all others, for each block: totals of those before shrink to nothing, those after add nothing.
    for peak in [3, 63, 64, 127, 128, 139] {
        let p = AttendWeightsParams { scale: 1.0, ..params([16, 140, 34]) };
        let plan = weights_plan(p);
        let mut inputs = random_inputs(&plan, 23);
        change(&mut inputs, "q", |_, number| number.abs() + 0.5);
        let key = p.keys.stride(3) as usize;
        change(&mut inputs, "k", |index, number| match index / key {
            0 => number,
            place if (place - 1) % 140 == peak => number.abs() + 0.6,
            _ => number * 0.5,
        });
        assert_agree(&format!("peak at {peak}"), &plan, &inputs, Tolerance::OPERATION);
    }
}

#[test]
fn a_number_that_is_none_stays_in_its_row() {
    let p = params([16, 72, 40]);
    let plan = weights_plan(p);
    let mut inputs = random_inputs(&plan, 24);
    change(&mut inputs, "q", |index, number| if index == 8 + 5 * 16 { f32::NAN } else { number });
    assert_agree("NaN in query 5", &plan, &inputs, Tolerance::OPERATION);
}

#[test]
fn the_most_keys_of_the_broadcast_variant_are_gone_through() {
    for head_size in [4, 64, 128] {
        let sized = |keys: u32| AttendWeightsParams { batch: 1, heads: 1, groups: 1, ..params([head_size, keys, 3]) };
        let fits = |keys: u32| broadcast(&weights_plan(sized(keys))).is_ok();
        let most = (1..).map(|count| 4 * count).take_while(|&keys| fits(keys)).last().expect("some do");
        let plan = weights_plan(sized(most));
        let turns = broadcast(&plan).expect("fits").iterations;
        assert!(turns <= MAX_LOOP.into() && turns + 1000 > MAX_LOOP.into(), "{most} keys take {turns} turns");
        let mut inputs = random_inputs(&plan, 25);
        make_hard(&mut inputs, &sized(most));
        let small = Tolerance { absolute: 1e-6, relative: 1e-4 };
        assert_agree(&format!("{most} keys of {head_size}"), &plan, &inputs, small);
    }
}

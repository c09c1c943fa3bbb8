//! Perceiver: answers from elsewhere, edges, chunks, and what is refused.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::kernel::{Activation, Kernel};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Plan, PlanLimits, Tensors};
use orthoformer_models::networks::perceiver::{self, Architecture, Decoder, Layer};
use orthoformer_models::networks::{Features, Network, NetworkOutputs};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, run};

use super::files::tensors;

const LATENTS: NetworkOutputs = NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::NOTHING };
const EVERYTHING: NetworkOutputs = NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::LOGITS };

fn layer([heads, keys, values, hidden]: [u32; 4]) -> Layer {
    Layer { heads, keys, values, hidden, query_residual: true }
}

/// A network for `[inputs, numbers in an input]`, whose latents are `[latents, numbers]`.
fn architecture([inputs, input_channels]: [u32; 2], [latents, channels]: [u32; 2], cross: Layer, own: Layer) -> Architecture {
    Architecture {
        has_family_names: false,
        inputs,
        input_channels,
        latents,
        channels,
        cross,
        own,
        blocks: 2,
        layers: 2,
        activation: Activation::Gelu,
        decoder: None,
    }
}

/// A small one with a classifier and two heads everywhere.
fn small(inputs: u32) -> Architecture {
    let decoder = Decoder { layer: layer([1, 6, 5, 9]), classes: 4 };
    let network = architecture([inputs, 9], [5, 12], layer([2, 10, 6, 7]), layer([2, 8, 12, 20]));
    Architecture { decoder: Some(decoder), ..network }
}

fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Plan {
    perceiver::plan(architecture, batch, outputs, limits).expect("a small network")
}

/// Runs a plan on both executors and holds them against the answer.
fn check(what: &str, plan: &Plan, given: &Tensors) {
    let (by_gpu, by_reference) = (run(plan, given), reference::run(plan, given, Route::Direct).expect("runs"));
    for (name, found) in by_gpu.iter().chain(&by_reference) {
        let outcome = compare(found, &given[&format!("expected.{name}")], Tolerance::NETWORK);
        println!("{what}, {name}: {outcome:?}");
        assert!(outcome.passed(), "{what}, {name}: {outcome:?}");
    }
}

#[test]
fn latents_are_the_published_codes() {
    let mut given = tensors("networks/perceiver/model.safetensors");
    given.extend(tensors("networks/perceiver/case.safetensors"));
    given.insert("inputs".to_owned(), given["input"].clone());
    let network = architecture([333, 40], [12, 48], layer([1, 40, 40, 48]), layer([3, 48, 48, 48]));
    check("whole", &plan(&network, 2, &LATENTS, PlanLimits::default()), &given);
    let limits = PlanLimits { scratch_bytes: 20_000, ..PlanLimits::default() };
    let chunks = plan(&network, 2, &LATENTS, limits);
    assert!(chunks.dispatches().filter(|dispatch| dispatch.label == "weights of a chunk").count() > 4);
    check("in chunks", &chunks, &given);
}

/// With a classifier, other numbers of heads, queries that are not added. The answers are those of transformers 5.23's
/// `PerceiverForImageClassificationFourier`, in float64, for weights that were drawn and for the inputs that it made of a picture.
#[test]
fn logits_are_the_published_codes() {
    let given = tensors("network_edges/perceiver_classifier.safetensors");
    let cross = Layer { query_residual: false, ..layer([2, 12, 16, 48]) };
    let network = Architecture {
        has_family_names: true,
        decoder: Some(Decoder { layer: layer([1, 16, 16, 16]), classes: 5 }),
        ..architecture([24, 261], [6, 16], cross, layer([2, 12, 16, 32]))
    };
    check("whole", &plan(&network, 2, &EVERYTHING, PlanLimits::default()), &given);
    let limits = PlanLimits { scratch_bytes: 7_000, ..PlanLimits::default() };
    check("in chunks", &plan(&network, 2, &EVERYTHING, limits), &given);
}

#[test]
fn executors_agree_however_many_inputs() {
    // 64 keys of nine numbers, ten in a key, ten scores each: chunks of 64.
    let limits = PlanLimits { scratch_bytes: 4 * 10 * 64, ..PlanLimits::default() };
    for inputs in [1, 2, 63, 64, 65, 127, 128, 129, 200] {
        let network = small(inputs);
        let chunked = plan(&network, 2, &EVERYTHING, limits);
        let chunks = chunked.dispatches().filter(|dispatch| dispatch.label == "scores of a chunk").count() as u32;
        // Both items' inputs; the classifier sees latents in one chunk each.
        assert_eq!(chunks, 2 * inputs.div_ceil(64) + 2);
        let given = random_inputs(&chunked, inputs.into());
        assert_agree(&format!("{inputs} inputs"), &chunked, &given, Tolerance::NETWORK);
        assert_agree_as_half(&format!("{inputs} inputs"), chunked.clone(), &given);
        let whole = reference::run(&plan(&network, 2, &EVERYTHING, PlanLimits::default()), &given, Route::Direct).expect("runs");
        let found = run(&chunked, &given);
        for (name, expected) in &whole {
            let outcome = compare(&found[name], expected, Tolerance::NETWORK);
            assert!(outcome.passed(), "{inputs} inputs, {name}: {outcome:?}");
        }
    }
}

#[test]
fn keys_and_values_are_made_where_that_is_less_work() {
    // Four heads of 40 latents that ask inputs of nine numbers, and wide values, which are better not made.
    for (values, made) in [(12, ["keys of a chunk", "values of a chunk"]), (4000, ["keys of a chunk", "folded"])] {
        let network = architecture([150, 9], [40, 12], layer([4, 8, values, 7]), layer([2, 8, 12, 20]));
        let plan = plan(&network, 2, &LATENTS, PlanLimits { scratch_bytes: 4 * 160 * 64, ..PlanLimits::default() });
        for label in ["keys of a chunk", "values of a chunk"] {
            assert_eq!(plan.dispatches().any(|dispatch| dispatch.label == label), made.contains(&label), "{label}, {values}");
        }
        assert_agree(&format!("{values} numbers of values"), &plan, &random_inputs(&plan, 4), Tolerance::NETWORK);
    }
}

#[test]
fn heads_that_the_attention_kernel_does_not_take() {
    let wide = architecture([70, 150], [9, 150], layer([1, 150, 130, 20]), layer([1, 300, 150, 30]));
    let plan = plan(&wide, 2, &LATENTS, PlanLimits { scratch_bytes: 3_000, ..PlanLimits::default() });
    assert!(plan.dispatches().all(|dispatch| dispatch.kernel != Kernel::Attend));
    assert_agree("wide heads", &plan, &random_inputs(&plan, 3), Tolerance::NETWORK);
}

#[test]
fn latents_of_layers_in_between() {
    let network = small(50);
    let limits = PlanLimits::default();
    let after = |block| NetworkOutputs { features: Some(Features::Block(block)), ..NetworkOutputs::NOTHING };
    let inputs = random_inputs(&plan(&network, 2, &EVERYTHING, limits), 9);
    let mut before = 0;
    for block in 0..4 {
        let alone = plan(&network, 2, &after(block), limits);
        assert!(alone.multiply_adds() > before, "more layers, more work");
        before = alone.multiply_adds();
        let found = run(&alone, &inputs);
        let both = plan(&network, 2, &NetworkOutputs { logits: true, ..after(block) }, limits);
        assert_agree(&format!("layer {block}"), &both, &inputs, Tolerance::NETWORK);
        let by_both = run(&both, &inputs);
        assert!(compare(&by_both["latents"], &found["latents"], Tolerance::OPERATION).passed());
        let everything = run(&plan(&network, 2, &EVERYTHING, limits), &inputs);
        assert!(compare(&by_both["logits"], &everything["logits"], Tolerance::LAYER).passed());
        assert_eq!(compare(&everything["latents"], &found["latents"], Tolerance::OPERATION).passed(), block == 3);
    }
}

#[test]
fn nan_stays_in_the_item_it_touches() {
    let network = small(130);
    let limits = PlanLimits { scratch_bytes: 4 * 10 * 64, ..PlanLimits::default() };
    let plan = plan(&network, 2, &LATENTS, limits);
    let mut inputs = random_inputs(&plan, 10);
    // One number of the second item, in its second chunk.
    change(&mut inputs, "inputs", |index, number| if index == (130 + 70) * 9 { f32::NAN } else { number });
    assert_agree("NaN", &plan, &inputs, Tolerance::NETWORK);
    let found = run(&plan, &inputs);
    let (first, second) = found["latents"].data().split_at(5 * 12);
    assert!(first.iter().all(|number| number.is_finite()) && second.iter().all(|number| number.is_nan()));
}

#[test]
fn the_published_network_fits_in_bounded_memory() {
    let decoder = Decoder { layer: layer([1, 1024, 1024, 1024]), classes: 1000 };
    let network = architecture([50_176, 261], [512, 1024], layer([1, 261, 261, 1024]), layer([8, 1024, 1024, 1024]));
    let network = Architecture { has_family_names: true, blocks: 8, layers: 6, decoder: Some(decoder), ..network };
    let plan = plan(&network, 1, &NetworkOutputs::LOGITS, PlanLimits::default());
    println!("{} bytes, {} multiply-adds", plan.peak_bytes(), plan.multiply_adds());
    assert!(plan.peak_bytes() < 2 << 30);
    let published = network.published_multiply_adds().expect("the published sizes").expect("published") as f64;
    // Keys and values of the inputs are not made: that is 3 % less.
    let planned = plan.multiply_adds() as f64 / published;
    assert!((0.95..0.98).contains(&planned), "{published} published");
    // Ten times the inputs: as much more memory as they take themselves, and little else.
    let larger = Architecture { inputs: 501_760, ..network };
    assert!(matches!(perceiver::plan(&larger, 1, &NetworkOutputs::LOGITS, PlanLimits::default()), Ok(larger)
        if larger.peak_bytes() - plan.peak_bytes() < (501_760 - 50_176) * 261 * 4 + (80 << 20)));
}

#[test]
fn impossible_networks_are_refused() {
    let good = small(20);
    let limits = PlanLimits::default();
    let said = |network: Architecture, part: &str| {
        let message = perceiver::plan(&network, 1, &LATENTS, limits).expect_err("refused").to_string();
        assert!(message.contains(part), "{message:?} has no {part:?}");
    };
    said(Architecture { inputs: 0, ..good.clone() }, "inputs is 0");
    said(Architecture { latents: 0, ..good.clone() }, "latents is 0");
    said(Architecture { blocks: 0, ..good.clone() }, "blocks or layers of a block is 0");
    said(Architecture { layers: u32::MAX, ..good.clone() }, "layers is");
    said(
        Architecture { cross: layer([3, 10, 6, 7]), ..good.clone() },
        "elements of keys is 10, which is not a multiple of heads = 3",
    );
    said(Architecture { cross: layer([0, 10, 6, 7]), ..good.clone() }, "heads is 0");
    said(Architecture { own: layer([2, 8, 14, 20]), ..good.clone() }, "values of 12 elements, as a latent has");
    let no_classes = Decoder { classes: 0, ..good.decoder.expect("it has one") };
    said(Architecture { decoder: Some(no_classes), ..good.clone() }, "classes is 0");
    let huge = u32::MAX;
    let all_huge = Layer { heads: huge, keys: huge, values: huge, hidden: huge, query_residual: true };
    for network in [
        Architecture { inputs: huge, input_channels: huge, ..good.clone() },
        Architecture { inputs: huge, input_channels: 1, ..good.clone() },
        Architecture { latents: 1 << 20, ..good.clone() },
        Architecture { latents: 1 << 20, channels: 1 << 20, own: layer([1, 1, 1 << 20, 1]), ..good.clone() },
        Architecture { cross: all_huge, ..good.clone() },
        Architecture { cross: layer([1 << 20, 1 << 20, 1 << 20, 1]), latents: 1 << 12, ..good.clone() },
        Architecture { own: all_huge, ..good.clone() },
    ] {
        for batch in [1, huge] {
            let limits = PlanLimits { scratch_bytes: 1, ..limits };
            if let Ok(plan) = perceiver::plan(&network, batch, &EVERYTHING, limits) {
                assert!(batch == 1, "{network:?}: {} bytes", plan.peak_bytes());
            }
        }
    }
    let none = Architecture { decoder: None, ..good.clone() };
    let error = perceiver::plan(&none, 1, &NetworkOutputs::LOGITS, limits).expect_err("refused");
    assert!(error.to_string().contains("this network has no classifier"), "{error}");
    let operands = NetworkOutputs { operands: Some(4), ..LATENTS };
    assert!(matches!(perceiver::plan(&good, 1, &operands, limits), Err(Error::OutOfRange { index: 4, count: 4, .. })));
    let beyond = NetworkOutputs { features: Some(Features::Block(4)), ..LATENTS };
    assert!(matches!(perceiver::plan(&good, 1, &beyond, limits), Err(Error::OutOfRange { index: 4, count: 4, .. })));
}

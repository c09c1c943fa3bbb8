//! Networks from checkpoints: configuration, weights, forward.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{Engine, EngineOptions};
use orthoformer::kernel::Activation;
use orthoformer::ops::approximation::Nystrom;
use orthoformer::ops::{Approximation, TemporalValue};
use orthoformer::plan::Element;
use orthoformer::{Error, Tensor};
use orthoformer_bench::case::Case;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::networks::motionformer::{Architecture, BlockAttention};
use orthoformer_models::{Config, Cost, Model, Overrides, Placed, Preset, check};
use orthoformer_models::{Features, NetworkOutputs};
use safetensors::tensor::{Dtype, TensorView};
use support::{engine, numbers};

fn shipped(name: &str) -> std::path::PathBuf {
    support::shipped(&format!("models/{name}"))
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&shipped(name)).expect("shipped")
}

fn config(checkpoint: &Checkpoint) -> Config {
    Config::of(checkpoint, &Overrides::default()).expect("says everything")
}

/// A checkpoint's tensors, to be changed and put together again.
type Parts = BTreeMap<String, Tensor>;

fn parts(checkpoint: &Checkpoint) -> Parts {
    checkpoint.tensors().map(|(name, _)| (name.to_owned(), checkpoint.read(name).expect("floats"))).collect()
}

fn checkpoint(parts: &Parts, cfg: Option<&str>) -> Checkpoint {
    let views = parts.iter().map(|(name, tensor)| {
        let view = TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytemuck::cast_slice(tensor.data()));
        (name.clone(), view.expect("matches"))
    });
    let metadata = cfg.map(|cfg| HashMap::from([("cfg".to_owned(), cfg.to_owned())]));
    let bytes = safetensors::serialize(views, metadata).expect("serialises");
    Checkpoint::parse(Path::new("CHECKPOINT"), bytes).expect("a good file")
}

/// Clips `[batch, 3, frames, crop, crop]`.
fn clips(config: &Config, batch: usize) -> Tensor {
    let a = config.network.downcast_ref::<Architecture>().expect("one");
    let shape = vec![batch, 3, a.frames as usize, a.crop as usize, a.crop as usize];
    let count = shape.iter().product();
    Tensor::new(shape, numbers(50, count, 1.0)).expect("all of them")
}

#[test]
fn configurations_come_from_the_checkpoint() {
    let checkpoint = open("trajectory_identity.pyth");
    let config = config(&checkpoint);
    let a = config.network.downcast_ref::<Architecture>().expect("one");
    assert_eq!((a.frames, a.crop, a.patch, a.patch_depth), (16, 112, 16, 2));
    assert_eq!((a.channels, a.heads, a.depth, a.hidden, a.qkv_bias), (48, 3, 2, 192, true));
    assert_eq!(a.attention, BlockAttention::Trajectory(TemporalValue::Identity));
    assert_eq!((a.head.hidden, a.head.classes.as_slice()), (Some(Activation::Tanh), [5].as_slice()));
    assert_eq!((config.protocol.sampling_rate, config.protocol.target_fps, config.protocol.segments), (4, 30.0, false));
    let inventory = check(&checkpoint, &config).expect("fits");
    assert_eq!(inventory.unused, ["patch_embed.proj.bias", "patch_embed.proj.weight"]);
    assert_eq!(inventory.parameters, 157_013);
}

#[test]
fn what_is_open_is_asked_for_by_name() {
    let bare = checkpoint(&parts(&open("trajectory_identity.pyth")), None);
    let mut known = Overrides::default();
    let asked = |known: &Overrides| match Config::of(&bare, known) {
        Err(Error::Argument { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(&known), "heads");
    known.heads = Some(3);
    assert_eq!(asked(&known), "temporal value");
    known.temporal_value = Some(TemporalValue::Identity);
    assert_eq!(asked(&known), "head activation");
    known.head_activation = Some(Activation::Tanh);
    // The crop follows from the grid of positions, unless it is said.
    assert_eq!(Config::of(&bare, &known).expect("all said").network.clip(), [16, 224, 224]);
    known.crop = Some(112);
    let (found, whole) = (Config::of(&bare, &known).expect("all said"), config(&open("trajectory_identity.pyth")));
    assert_eq!((&*found.network, found.protocol), (&*whole.network, whole.protocol));
    assert_eq!((found.assumed.len(), whole.assumed.len()), (1, 0), "the sampling rate");
    // A preset would say the same three, but this is none of its kind.
    let preset = Overrides { preset: Some(Preset::Base), ..Overrides::default() };
    let refusal = Config::of(&bare, &preset).expect_err("two blocks of 48 channels").to_string();
    assert_eq!(refusal, "preset: \"motionformer-b\" is not valid; expected a network of 48 channels in 2 blocks, as this one is");
}

#[test]
fn what_weights_were_trained_with_is_not_overruled() {
    let checkpoint = open("trajectory_identity.pyth");
    for (known, expected) in [
        (Overrides { heads: Some(4), ..Overrides::default() }, "heads: \"4\" is not valid; expected 3, as the checkpoint's"),
        (
            Overrides { temporal_value: Some(TemporalValue::Projected), ..Overrides::default() },
            "expected identity, as the checkpoint's",
        ),
        (Overrides { head_activation: Some(Activation::Relu), ..Overrides::default() }, "expected tanh, as the checkpoint's"),
    ] {
        let refusal = Config::of(&checkpoint, &known).expect_err("contradicts").to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
    let same = Overrides { heads: Some(3), head_activation: Some(Activation::Tanh), ..Overrides::default() };
    assert_eq!(Config::of(&checkpoint, &same).expect("agrees"), config(&checkpoint));
}

#[test]
fn configurations_that_contradict_are_refused() {
    let parts = parts(&open("trajectory_identity.pyth"));
    let refusal = |cfg: &str| Config::of(&checkpoint(&parts, Some(cfg)), &Overrides::default()).expect_err("refused").to_string();
    assert!(refusal("VIT: {NUM_HEADS: 3, ATTN_LAYER: joint}").contains("VIT.ATTN_LAYER"));
    assert!(refusal("MODEL: {MODEL_NAME: SlowFast}").contains("MODEL.MODEL_NAME"));
    assert!(refusal("VIT: {NUM_HEADS: many}").contains("\"cfg\""));
    assert!(refusal("VIT: [").contains("\"cfg\""));
    let whole = "NUM_HEADS: 3, USE_ORIGINAL_TRAJ_ATTN_CODE: true, HEAD_ACT: tanh";
    assert!(refusal(&format!("VIT: {{{whole}, APPROX_ATTN_TYPE: linformer}}")).contains("VIT.APPROX_ATTN_TYPE"));
    let heads = refusal("VIT: {NUM_HEADS: 5, USE_ORIGINAL_TRAJ_ATTN_CODE: true, HEAD_ACT: tanh}");
    assert!(heads.ends_with(": channels is 48, which is not a multiple of heads = 5"), "{heads}");
    // A bomb of aliases is not unfolded.
    let bomb: String = (0..40).map(|level| format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level.max(1) - 1)).collect();
    assert!(refusal(&format!("a0: &a0 [x]\n{bomb}")).contains("\"cfg\""));
}

#[test]
fn published_configurations_mean_what_the_published_code_takes_them_for() {
    let parts = parts(&open("trajectory_identity.pyth"));
    let of = |cfg: &str| Config::of(&checkpoint(&parts, Some(cfg)), &Overrides::default()).expect("says everything");
    let vit = "VIT: {ATTN_LAYER: trajectory, NUM_HEADS: 3, HEAD_ACT: tanh}";
    // Saved before there was a choice of values.
    assert_eq!(
        of(vit).network.downcast_ref::<Architecture>().expect("one").attention,
        BlockAttention::Trajectory(TemporalValue::Identity)
    );
    assert_eq!((of(vit).protocol.segments, of(vit).protocol.reversed_channels), (false, false));
    // Frames of these two are read blue first.
    let colours = |dataset: &str, turned: bool| {
        let protocol = of(&format!("{vit}\nTRAIN: {{DATASET: {dataset}}}\nDATA: {{REVERSE_INPUT_CHANNEL: {turned}}}")).protocol;
        (protocol.segments, protocol.reversed_channels)
    };
    assert_eq!(colours("Ssv2", true), (true, false));
    assert_eq!(colours("Epickitchens", false), (false, true));
    assert_eq!(colours("Kinetics", false), (false, false));
    assert!(of(&format!("{vit}\nTRAIN: {{DATASET: epickitchens}}")).protocol.reversed_channels);
    assert_eq!(Preset::ALL.map(|preset| preset.config().protocol.sampling_rate), [4, 3, 8]);
    let dense = Overrides { segments: Some(false), ..Overrides::default() };
    let ssv2 = checkpoint(&parts, Some(&format!("{vit}\nTRAIN: {{DATASET: ssv2}}")));
    assert!(!Config::of(&ssv2, &dense).expect("says everything").protocol.segments);
}

#[test]
fn what_would_do_nothing_is_refused() {
    let mut parts = parts(&open("trajectory_identity.pyth"));
    parts.retain(|name, _| !name.contains("proj_q") && !name.contains("proj_kv") && !name.starts_with("pre_logits"));
    let joint = checkpoint(&parts, Some("VIT: {ATTN_LAYER: joint, NUM_HEADS: 3, APPROX_ATTN_TYPE: nystrom}"));
    let config = Config::of(&joint, &Overrides::default()).expect("says everything");
    assert_eq!(
        config.network.downcast_ref::<Architecture>().expect("one").approximation,
        Approximation::Exact,
        "as the published code does"
    );
    let nystrom = Approximation::Nystrom(Nystrom { landmarks: 4, iterations: 6 });
    for known in [
        Overrides { approximation: Some(nystrom), ..Overrides::default() },
        Overrides { temporal_value: Some(TemporalValue::Identity), ..Overrides::default() },
        Overrides { head_activation: Some(Activation::Tanh), ..Overrides::default() },
    ] {
        let error = Config::of(&joint, &known).expect_err("does nothing").to_string();
        assert!(error.contains("the network does not have"), "{error}");
    }
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_made_of_them() {
    let parts = parts(&open("trajectory_identity.pyth"));
    let cfg = open("trajectory_identity.pyth").config().expect("has one").to_owned();
    let checkpoint = checkpoint(&parts, Some(&cfg));
    for crop in [16 * 1000, 16 * 245] {
        let config = Config::of(&checkpoint, &Overrides { crop: Some(crop), ..Overrides::default() });
        let refused = config.and_then(|config| check(&checkpoint, &config)).map(|_| ());
        assert!(refused.is_err(), "{crop}");
    }
}

#[test]
fn checkpoints_of_other_networks_are_refused() {
    let good = parts(&open("trajectory_identity.pyth"));
    let cfg = open("trajectory_identity.pyth").config().expect("has one").to_owned();
    let load = |change: &dyn Fn(&mut Parts)| {
        let mut changed = good.clone();
        change(&mut changed);
        let checkpoint = checkpoint(&changed, Some(&cfg));
        let config = Config::of(&checkpoint, &Overrides::default())?;
        check(&checkpoint, &config)
    };
    let refusal = |change: &dyn Fn(&mut Parts)| load(change).expect_err("refused").to_string();
    let missing = refusal(&|parts| drop(parts.remove("blocks.1.mlp.fc2.bias")));
    assert!(missing.starts_with("tensor \"blocks.1.mlp.fc2.bias\" is missing; given are: blocks.0."), "{missing}");
    assert!(refusal(&|parts| drop(parts.remove("cls_token"))).contains("not a Motionformer: tensor \"cls_token\" is missing"));
    assert!(refusal(&|parts| drop(parts.remove("temp_embed"))).contains("tensor \"temp_embed\" is missing"));
    let one_of_two = |parts: &mut Parts| {
        let head = parts.remove("head.weight").expect("there");
        parts.insert("head0.weight".to_owned(), head);
    };
    assert!(refusal(&one_of_two).contains("a classifier"));
    let swap = |name: &'static str, shape: &'static [usize]| {
        move |parts: &mut Parts| {
            let zeros = vec![0.0; shape.iter().product()];
            parts.insert(name.to_owned(), Tensor::new(shape.to_vec(), zeros).expect("all zero"));
        }
    };
    assert_eq!(
        refusal(&swap("blocks.0.attn.proj.weight", &[48, 47])),
        "tensor \"blocks.0.attn.proj.weight\" has shape [48, 47]; expected [48, 48]"
    );
    assert!(refusal(&swap("temp_embed", &[1, 7, 48])).contains("tensor \"temp_embed\" has shape [1, 7, 48]"));
    assert!(refusal(&swap("pos_embed", &[1, 196, 48])).contains("square grid"));
    let extra = load(&swap("ema.decay", &[1])).expect("nothing is missing");
    assert!(extra.unused.contains(&"ema.decay".to_owned()));
}

#[test]
fn forward_is_what_the_case_expects_in_batches_too() {
    let case = Case::read(&shipped("trajectory_identity.safetensors")).expect("shipped");
    let network = Model::load(engine(), &shipped("trajectory_identity.pyth")).expect("loads");
    let one = &case.inputs["clip"];
    let logits = network.forward(one).expect("runs");
    assert_eq!(logits.len(), 1);
    let outcome = compare(&logits[0], &case.expected["logits0"], Tolerance::NETWORK);
    assert!(outcome.passed(), "{outcome:?}");
    // Three clips: the case's, its negative, and the case's again.
    let mut numbers = one.data().to_vec();
    numbers.extend(one.data().iter().map(|number| -number));
    numbers.extend_from_slice(one.data());
    let shape = [&[3], &one.shape()[1..]].concat();
    let batch = network.forward(&Tensor::new(shape, numbers).expect("three")).expect("runs");
    let rows: Vec<&[f32]> = batch[0].data().chunks(5).collect();
    assert_eq!(rows[0], rows[2]);
    assert_ne!(rows[0], rows[1]);
    let worst = rows[0].iter().zip(logits[0].data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn float16_storage_stays_close() {
    if !engine().capabilities().f16 {
        println!("skipped: float16 storage on the adapter, which has no 16-bit floats");
    }
    let tolerance = Tolerance { absolute: 5e-2, relative: 0.0 };
    for name in ["trajectory_identity", "patches_2d"] {
        let case = Case::read(&shipped(&format!("{name}.safetensors"))).expect("shipped");
        let on_adapter = engine().capabilities().f16.then_some(Placed::Gpu(engine()));
        for placed in on_adapter.into_iter().chain([Placed::Reference]) {
            let checkpoint = open(&format!("{name}.pyth"));
            let config = config(&checkpoint);
            let network = Model::new(placed, checkpoint, config, Element::F16).expect("loads");
            let logits = network.forward(&case.inputs["clip"]).expect("runs");
            let outcome = compare(&logits[0], &case.expected["logits0"], tolerance);
            assert!(outcome.passed(), "{name} {placed:?}: {outcome:?}");
        }
    }
}

#[test]
fn several_networks_share_a_device_and_nothing_grows() {
    // A device of its own, as other tests make buffers on the shared one.
    let engine = Engine::new(&EngineOptions::default()).expect("an adapter");
    let names = ["trajectory_identity.pyth", "patches_2d.pyth"];
    let networks = names.map(|name| Model::load(&engine, &shipped(name)).expect("loads"));
    let clips = [1, 2].map(|batch| [0, 1].map(|network| clips(networks[network].config(), batch)));
    let first: Vec<_> = clips.iter().map(|clips| [0, 1].map(|n| networks[n].forward(&clips[n]).expect("runs"))).collect();
    let (bytes, buffers) = (networks.each_ref().map(Model::device_bytes), engine.buffers_made());
    let allocated = engine.allocated_bytes();
    for _ in 0..3 {
        for (clips, first) in clips.iter().zip(&first) {
            for number in [1, 0] {
                let again = networks[number].forward(&clips[number]).expect("runs");
                assert_eq!(again[0].data(), first[number][0].data(), "the same clip, the same logits");
            }
        }
    }
    assert_eq!(networks.each_ref().map(Model::device_bytes), bytes);
    assert_eq!(engine.allocated_bytes(), allocated);
    assert_eq!(engine.buffers_made(), buffers, "buffers are made once for each number of clips");
}

#[test]
fn networks_are_shared_between_threads() {
    let network = Model::load(engine(), &shipped("patches_2d.pyth")).expect("loads");
    let clips = clips(network.config(), 1);
    let expected = network.forward(&clips).expect("runs");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(network.forward(&clips).expect("runs")[0].data(), expected[0].data()));
        }
    });
}

#[test]
fn features_and_wrong_clips() {
    let network = Model::load(engine(), &shipped("patches_2d.pyth")).expect("loads");
    let clips = clips(network.config(), 2);
    let outputs = NetworkOutputs { features: Some(Features::Block(0)), ..NetworkOutputs::NOTHING };
    assert_eq!(network.run(&clips, &outputs).expect("runs")["features"].shape(), [2, 1 + 4 * 49, 48]);
    let wrong = Tensor::new(vec![1, 3, 4, 112, 111], vec![0.0; 3 * 4 * 112 * 111]).expect("all zero");
    let error = network.forward(&wrong).expect_err("a column is missing");
    assert_eq!(error.to_string(), "tensor \"clip\" has shape [1, 3, 4, 112, 111]; expected [clips, 3, 4, 112, 112]");
    let none = Tensor::new(vec![0, 3, 4, 112, 112], Vec::new()).expect("nothing");
    assert!(matches!(network.forward(&none), Err(Error::ZeroSize { .. })));
}

#[test]
fn published_networks_cost_what_is_published() {
    // Billions of multiply-adds: the published order, and here with values projected and identity.
    for (preset, published, projected, identity) in [
        (Preset::Base, 369.4, Some(216.5), Some(204.2)),
        (Preset::Long, 1185.0, Some(529.0), None),
        (Preset::HighResolution, 959.0, Some(614.0), None),
    ] {
        for (value, expected) in [(TemporalValue::Projected, projected), (TemporalValue::Identity, identity)] {
            let mut config = preset.config();
            let own = config.network.downcast_mut::<Architecture>().expect("a Motionformer");
            own.attention = BlockAttention::Trajectory(value);
            let cost = Cost::of(&config, Element::F32).expect("plans");
            let is_close = |found: u64, expected: f64| (found as f64 / 1e9 / expected - 1.0).abs() < 0.01;
            let found = cost.published_multiply_adds.expect("published");
            assert!(is_close(found, published), "{preset:?}: {found}");
            assert!(expected.is_none_or(|expected| is_close(cost.multiply_adds, expected)), "{preset:?} {value:?}: {cost:?}");
            assert!(cost.multiply_adds_for_logits < cost.multiply_adds);
        }
    }
    let half = Cost::of(&Preset::Base.config(), Element::F16).expect("plans");
    let whole = Cost::of(&Preset::Base.config(), Element::F32).expect("plans");
    assert!(half.device_bytes * 100 < whole.device_bytes * 60, "{half:?} {whole:?}");
    assert!(whole.device_bytes - whole.weight_bytes < 150 << 20, "{whole:?}");
}

//! VideoMAE: answers of its library, recognition, and what is refused. The networks lie in `tests/networks`; their answers are those of transformers 5.24 in
//! float64.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orthoformer::compare::{Tolerance, compare};
use orthoformer::plan::Element;
use orthoformer::{Error, Tensor};
use orthoformer_bench::case::Case;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::networks::vit::{Architecture, Kind, Pooling, QkvBias};
use orthoformer_models::{Config, Features, Model, NetworkOutputs, Overrides, Placed, check};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use support::engine;

const ENCODER: &str = "videomae_encoder";
const MEAN: &str = "videomae_mean_pooling";
/// How far an answer may be from the library's.
const CLOSE: Tolerance = Tolerance { absolute: 1e-4, relative: 0.0 };

fn file(network: &str, name: &str) -> PathBuf {
    support::shipped(&format!("networks/{network}/{name}"))
}

fn open(network: &str) -> Checkpoint {
    Checkpoint::open(&file(network, "model.safetensors")).expect("kept")
}

fn case(network: &str) -> Case {
    Case::read(&file(network, "case.safetensors")).expect("kept")
}

/// A checkpoint's tensors, to be changed and put together again.
type Parts = BTreeMap<String, Tensor>;

fn parts(network: &str) -> Parts {
    let checkpoint = open(network);
    checkpoint.tensors().map(|(name, _)| (name.to_owned(), checkpoint.read(name).expect("floats"))).collect()
}

fn description(network: &str) -> Value {
    serde_json::from_str(open(network).description().expect("readable").expect("beside it")).expect("JSON")
}

fn bare(parts: &Parts) -> Checkpoint {
    let views = parts.iter().map(|(name, tensor)| {
        let view = TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytemuck::cast_slice(tensor.data()));
        (name.clone(), view.expect("matches"))
    });
    Checkpoint::parse(Path::new("CHECKPOINT"), safetensors::serialize(views, None).expect("serialises")).expect("a good file")
}

fn checkpoint(parts: &Parts, description: &Value) -> Checkpoint {
    bare(parts).described(description.to_string())
}

fn config(checkpoint: &Checkpoint) -> Config {
    Config::of(checkpoint, &Overrides::default()).expect("says everything")
}

/// What both executors make of a case's clip.
fn run(open: impl Fn() -> Checkpoint, clip: &Tensor, outputs: &NetworkOutputs) -> [orthoformer::Tensors; 2] {
    [Placed::Gpu(engine()), Placed::Reference].map(|placed| {
        let checkpoint = open();
        let config = config(&checkpoint);
        Model::new(placed, checkpoint, config, Element::F32).expect("fits").run(clip, outputs).expect("runs")
    })
}

fn logits(parts: &Parts, description: &Value, clip: &Tensor) -> [Tensor; 2] {
    run(|| checkpoint(parts, description), clip, &NetworkOutputs::LOGITS)
        .map(|mut outputs| outputs.remove("logits").expect("given"))
}

fn assert_close(what: &str, found: &[Tensor], expected: &Tensor) {
    for found in found {
        let outcome = compare(found, expected, CLOSE);
        assert!(outcome.passed(), "{what}: {outcome:?}");
    }
}

/// The encoder with a drawn classifier, as a network that classifies the first token, and its logits by the library's tokens.
fn first_token() -> (Parts, Value, Tensor) {
    let (weight, bias) = (support::numbers(7, 6 * 64, 0.2), support::numbers(8, 6, 1.0));
    let tokens = &case(ENCODER).expected["features"];
    let logit = |(row, bias): (&[f32], &f32)| {
        let products = row.iter().zip(tokens.data()).map(|(&w, &x)| f64::from(w) * f64::from(x));
        (f64::from(*bias) + products.sum::<f64>()) as f32
    };
    let expected = Tensor::new(vec![1, 6], weight.chunks(64).zip(&bias).map(logit).collect()).expect("six");
    let mut all: Parts = parts(ENCODER).into_iter().map(|(name, tensor)| (format!("videomae.{name}"), tensor)).collect();
    all.insert("classifier.weight".to_owned(), Tensor::new(vec![6, 64], weight).expect("all of them"));
    all.insert("classifier.bias".to_owned(), Tensor::new(vec![6], bias).expect("all of them"));
    (all, description(ENCODER), expected)
}

#[test]
fn networks_give_the_librarys_answers() {
    let (encoder, mean) = (case(ENCODER), case(MEAN));
    let clip = &encoder.inputs["clip"];
    let tokens = NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::NOTHING };
    let found = run(|| open(ENCODER), clip, &tokens).map(|mut outputs| outputs.remove("features").expect("given"));
    assert_close("encoder", &found, &encoder.expected["features"]);
    assert_close("mean", &logits(&parts(MEAN), &description(MEAN), clip), &mean.expected["logits"]);
    let (first, description, expected) = first_token();
    assert_close("first token", &logits(&first, &description, clip), &expected);
}

#[test]
fn checkpoints_are_recognised() {
    let (first, first_description, _) = first_token();
    let networks = [
        (open(ENCODER), Pooling::First, None, 165_312),
        (checkpoint(&first, &first_description), Pooling::First, Some(6), 165_702),
        (open(MEAN), Pooling::Mean, Some(6), 165_702),
    ];
    for (checkpoint, pooling, classes, parameters) in networks {
        let config = config(&checkpoint);
        let found = config.network.downcast_ref::<Architecture>().expect("one of the family");
        assert_eq!((found.kind, found.qkv_bias, found.classes), (Kind::VideoMae(pooling), QkvBias::Published, classes));
        assert_eq!((found.frames, found.height, found.width, found.patch), (4, 64, 64, [2, 16, 16]));
        assert_eq!((found.channels, found.heads, found.depth, found.hidden, found.epsilon), (64, 4, 2, 128, 1e-12));
        assert_eq!((config.network.name(), config.protocol.sampling_rate, config.protocol.segments), ("VideoMAE", 4, false));
        assert_eq!((config.protocol.mean, config.protocol.std), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]));
        assert_eq!(config.assumed.len(), 1, "the sampling rate: {:?}", config.assumed);
        let inventory = check(&checkpoint, &config).expect("fits");
        assert_eq!((inventory.parameters, inventory.unused.len()), (parameters, 0), "{:?}", inventory.unused);
    }
    // A pretrained one has a decoder, which nothing here needs.
    let mut pretrained = first;
    pretrained.retain(|name, _| !name.starts_with("classifier"));
    pretrained.insert("mask_token".to_owned(), Tensor::new(vec![1, 1, 8], vec![0.0; 8]).expect("eight"));
    pretrained.insert(
        "decoder.decoder_layers.0.attention.attention.q_bias".to_owned(),
        Tensor::new(vec![8], vec![0.0; 8]).expect("eight"),
    );
    let pretrained = checkpoint(&pretrained, &first_description);
    let inventory = check(&pretrained, &config(&pretrained)).expect("fits");
    assert_eq!((inventory.parameters, inventory.unused.len()), (165_312, 2));
}

/// The library loaded these biases as zeros for a while.
#[test]
fn biases_of_queries_and_values_count() {
    let (whole, description, _) = first_token();
    let clip = &case(ENCODER).inputs["clip"];
    let with = logits(&whole, &description, clip);
    for end in ["q_bias", "v_bias"] {
        let mut zeroed = whole.clone();
        for (_, tensor) in zeroed.iter_mut().filter(|(name, _)| name.ends_with(end)) {
            *tensor = Tensor::new(vec![64], vec![0.0; 64]).expect("as many");
        }
        for (found, with) in logits(&zeroed, &description, clip).iter().zip(&with) {
            let apart = found.data().iter().zip(with.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart > 1e-2, "{end}: {apart}");
        }
    }
    // The names that the library has in memory.
    let renamed = |name: &String| name.replace("q_bias", "query.bias").replace("v_bias", "value.bias");
    let mut other: Parts = whole.iter().map(|(name, tensor)| (renamed(name), tensor.clone())).collect();
    assert_eq!(logits(&other, &description, clip), with);
    // A key's bias is the same in all scores of a row.
    for layer in 0..2 {
        let name = format!("videomae.encoder.layer.{layer}.attention.attention.key.bias");
        other.insert(name, Tensor::new(vec![64], support::numbers(9, 64, 1.0)).expect("all of them"));
    }
    assert_eq!(config(&checkpoint(&other, &description)).network.facts()[5], ("qkv_bias", "true".to_owned()));
    for (found, with) in logits(&other, &description, clip).iter().zip(&with) {
        assert_close("key biases", std::slice::from_ref(found), with);
    }
    // One layer's alone are not taken for none at all.
    let mut some = whole.clone();
    some.remove("videomae.encoder.layer.0.attention.attention.q_bias");
    some.remove("videomae.encoder.layer.0.attention.attention.v_bias");
    let some = checkpoint(&some, &description);
    let missing = check(&some, &config(&some)).expect_err("two are missing").to_string();
    assert!(missing.contains("layer.0.attention.attention.q_bias\" is missing"), "{missing}");
    // Without any the network is another one, which its configuration has to say.
    let mut none = whole;
    none.retain(|name, _| !name.ends_with("q_bias") && !name.ends_with("v_bias"));
    let refused = Config::of(&checkpoint(&none, &description), &Overrides::default()).expect_err("says it has them").to_string();
    assert!(refused.contains("\"qv_bias\" is true; expected false, as the tensors have it"), "{refused}");
    let mut without = description;
    without["qv_bias"] = json!(false);
    let config = config(&checkpoint(&none, &without));
    assert_eq!(config.network.downcast_ref::<Architecture>().expect("one").qkv_bias, QkvBias::None);
}

#[test]
fn descriptions_that_contradict_their_tensors_are_refused() {
    for (network, key, value, expected) in [
        (MEAN, "model_type", json!("vivit"), "\"model_type\" is \"vivit\"; expected \"videomae\""),
        (MEAN, "use_mean_pooling", json!(false), "\"use_mean_pooling\" is false; expected true, as the tensors have it"),
        (ENCODER, "use_mean_pooling", json!(true), "\"use_mean_pooling\" is true; expected false"),
        (MEAN, "hidden_size", json!(96), "\"hidden_size\" is 96; expected 64"),
        (MEAN, "num_hidden_layers", json!(12), "\"num_hidden_layers\" is 12; expected 2"),
        (MEAN, "intermediate_size", json!(256), "\"intermediate_size\" is 256; expected 128"),
        (MEAN, "tubelet_size", json!(4), "\"tubelet_size\" is [4]; expected [2]"),
        (MEAN, "tubelet_size", json!([2, 16, 16]), "\"tubelet_size\" is [2, 16, 16]; expected one number"),
        (MEAN, "patch_size", json!(8), "\"patch_size\" is [8, 8]; expected [16, 16]"),
        (MEAN, "patch_size", json!([16, 8]), "\"patch_size\" is [16, 8]; expected [16, 16]"),
        (MEAN, "num_channels", json!(1), "\"num_channels\" is 1; expected 3"),
        (MEAN, "num_attention_heads", json!(5), "channels is 64, which is not a multiple of heads = 5"),
        (MEAN, "hidden_act", json!("silu"), "\"hidden_act\" is \"silu\"; expected \"gelu\""),
        (MEAN, "qkv_bias", json!(false), "\"qkv_bias\" is false; expected true"),
        (MEAN, "layer_norm_eps", json!(-1e-12), "\"layer_norm_eps\" is -"),
        (MEAN, "num_frames", json!(5), "frames is 5, which is not a multiple of frames of a patch = 2"),
        (MEAN, "image_size", json!(72), "height is 72, which is not a multiple of height of a patch = 16"),
        (MEAN, "id2label", json!({"0": "a"}), "\"id2label\" is 1 names"),
    ] {
        let mut entries = description(network);
        entries[key] = value;
        let checkpoint = open(network).described(entries.to_string());
        let found = Config::of(&checkpoint, &Overrides::default());
        let found = found.and_then(|config| check(&checkpoint, &config)).expect_err("refused").to_string();
        assert!(found.contains(expected), "{key}: {found}");
    }
}

#[test]
fn missing_and_misplaced_tensors_are_named() {
    for (network, tensor, expected) in [
        (MEAN, "videomae.encoder.layer.1.attention.attention.v_bias", "v_bias\" is missing"),
        (MEAN, "videomae.encoder.layer.0.attention.attention.key.weight", "key.weight\" is missing"),
        (MEAN, "fc_norm.weight", "\"fc_norm.weight\" is missing"),
        (MEAN, "videomae.embeddings.patch_embeddings.projection.bias", "projection.bias\" is missing"),
        (ENCODER, "layernorm.bias", "\"layernorm.bias\" is missing"),
        (ENCODER, "layernorm.weight", "\"use_mean_pooling\" is false; expected true"),
    ] {
        let mut parts = parts(network);
        parts.remove(tensor).expect("there");
        let checkpoint = checkpoint(&parts, &description(network));
        let found = Config::of(&checkpoint, &Overrides::default());
        let found = found.and_then(|config| check(&checkpoint, &config)).expect_err("refused").to_string();
        assert!(found.contains(expected), "{tensor}: {found}");
    }
    let mut both = parts(MEAN);
    both.insert("videomae.layernorm.weight".to_owned(), Tensor::new(vec![64], vec![1.0; 64]).expect("as many"));
    // The description says which counts.
    let mut said = description(MEAN);
    let found = checkpoint(&both, &said);
    let unused = check(&found, &config(&found)).expect("fits").unused;
    assert_eq!((&said["use_mean_pooling"], unused), (&json!(true), vec!["videomae.layernorm.weight".to_owned()]));
    said["use_mean_pooling"] = json!(null);
    let found = Config::of(&checkpoint(&both, &said), &Overrides::default()).expect_err("which?").to_string();
    assert!(found.contains("it has both \"layernorm.weight\"") && found.contains("\"use_mean_pooling\""), "{found}");
    // Beside a ViViT's description it is none.
    let vivit = Checkpoint::open(&file("vivit", "model.safetensors")).expect("shipped");
    let found = Config::of(
        &bare(&parts(ENCODER)).described(vivit.description().expect("readable").expect("there").to_owned()),
        &Overrides::default(),
    );
    assert!(found.expect_err("another network").to_string().contains("expected \"videomae\""));
}

/// Positions are a formula of the number of patches: nothing in the tensors says how many there are.
#[test]
fn clips_are_of_the_size_that_is_described() {
    let heads = Overrides { heads: Some(4), ..Overrides::default() };
    let asked = |overrides: &Overrides| Config::of(&bare(&parts(ENCODER)), overrides).expect_err("not said").to_string();
    assert!(asked(&heads).starts_with("frames: "), "{}", asked(&heads));
    let frames = Overrides { frames: Some(4), ..heads };
    assert!(asked(&frames).starts_with("crop: "), "{}", asked(&frames));
    let said = Config::of(&bare(&parts(ENCODER)), &Overrides { crop: Some(64), ..frames }).expect("all said");
    assert_eq!(*said.network, *config(&open(ENCODER)).network);
    for (overrides, expected) in [
        (Overrides { frames: Some(8), ..Overrides::default() }, "frames: \"8\" is not valid; expected 4"),
        (Overrides { crop: Some(96), ..Overrides::default() }, "crop: \"96\" is not valid; expected 64"),
    ] {
        let refused = Config::of(&open(MEAN), &overrides).expect_err("contradicts").to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    let mut network = config(&open(MEAN)).network;
    let refused = network.set_clip([8, 64, 64]).expect_err("other positions").to_string();
    assert!(refused.contains("8 frames of 64 x 64 pixels") && refused.contains("expected 4 frames of 64 x 64"), "{refused}");
    let refused = network.take(Tensor::new(vec![1, 4, 3, 32, 32], vec![0.0; 12 * 1024]).expect("all of them"));
    assert!(matches!(refused, Err(Error::Argument { what: "clip", .. })), "{refused:?}");
    network.set_clip([4, 64, 64]).expect("its own");
}

/// Without a final norm the last features are the last block's; logits follow from them by the mean, its norm and the classifier.
#[test]
fn logits_follow_from_features() {
    let clip = &case(MEAN).inputs["clip"];
    let of = |layer| {
        let outputs = NetworkOutputs { features: Some(layer), ..NetworkOutputs::LOGITS };
        run(|| open(MEAN), clip, &outputs)
    };
    let (last, all) = (of(Features::Block(1)), of(Features::Final));
    for (last, all) in last.iter().zip(&all) {
        assert_eq!(last["features"], all["features"]);
        assert_close("logits beside features", std::slice::from_ref(&all["logits"]), &case(MEAN).expected["logits"]);
        assert_eq!(all["features"].shape(), [1, 32, 64]);
    }
    let first = of(Features::Block(0));
    assert_ne!(first[0]["features"], all[0]["features"]);
    assert_close("a block's features", &[first[0]["features"].clone()], &first[1]["features"]);
}

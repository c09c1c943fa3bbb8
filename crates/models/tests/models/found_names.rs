//! Checkpoints whose tensors have other names than the network's own: behind wrappers, and as other libraries call them.

use std::collections::BTreeMap;
use std::path::Path;

use orthoformer::Tensor;
use orthoformer::compare::{Tolerance, compare};
use orthoformer::plan::Element;
use orthoformer_models::checkpoint::{Checkpoint, convert};
use orthoformer_models::{Config, Model, Overrides, Placed, check, weights};
use safetensors::tensor::{Dtype, TensorView};

/// Tensors by their names.
pub type Parts = BTreeMap<String, Tensor>;

pub fn shipped(network: &str) -> Checkpoint {
    Checkpoint::open(&support::shipped(&format!("networks/{network}/model.safetensors"))).expect("shipped")
}

pub fn parts(checkpoint: &Checkpoint) -> Parts {
    let floats = checkpoint.tensors().filter(|(_, info)| info.element.is_float());
    floats.map(|(name, _)| (name.to_owned(), checkpoint.read(name).expect("floats"))).collect()
}

/// A safetensors file.
pub fn file(parts: &Parts) -> Vec<u8> {
    let views = parts.iter().map(|(name, tensor)| {
        let view = TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytemuck::cast_slice(tensor.data()));
        (name.clone(), view.expect("matches"))
    });
    safetensors::serialize(views, None).expect("serialises")
}

/// A shipped network's tensors under other names, with its description.
fn renamed(network: &str, name_of: impl Fn(&str) -> String) -> Checkpoint {
    let original = shipped(network);
    let others = parts(&original).into_iter().map(|(name, tensor)| (name_of(&name), tensor)).collect();
    let description = original.description().expect("readable").expect("beside it").to_owned();
    Checkpoint::parse(Path::new("RENAMED"), file(&others)).expect("good").described(description)
}

/// Whether both have the same network with the same weights, and nothing is left over.
fn assert_same(found: &Checkpoint, network: &str, overrides: &Overrides) {
    let original = shipped(network);
    let (expected, config) = (config(&original, overrides), config(found, overrides));
    assert_eq!(*config.network, *expected.network, "{network}");
    assert_eq!(check(found, &config).expect("fits").unused, check(&original, &expected).expect("fits").unused);
    let all = |checkpoint, config| weights(checkpoint, config).expect("readable");
    assert!(all(found, &config) == all(&original, &expected), "{network}: other weights");
}

fn config(checkpoint: &Checkpoint, overrides: &Overrides) -> Config {
    Config::of(checkpoint, overrides).expect("a known network")
}

#[test]
fn wrappers_are_taken_off_wherever_they_stand() {
    let networks = ["timesformer_divided_space_time", "vivit", "swin", "video_swin", "perceiver"];
    for network in networks {
        for prefix in
            ["module.", "_orig_mod.", "module._orig_mod.", "model.", "backbone.", "encoder.", "model.net.module.", "a.b.c."]
        {
            assert_same(&renamed(network, |name| format!("{prefix}{name}")), network, &Overrides::default());
        }
    }
    let inner = renamed("vivit", |name| name.replace("encoder.layer.", "encoder.layer._orig_mod.").replace("0.", "0.module."));
    assert_same(&inner, "vivit", &Overrides::default());
    // A classifier beside the backbone.
    let apart = renamed("vivit", |name| match name.strip_prefix("vivit.") {
        Some(rest) => format!("net.backbone.{rest}"),
        None => format!("net.{name}"),
    });
    let unused = check(&apart, &config(&apart, &Overrides::default())).expect("fits").unused;
    assert_eq!((unused.len(), apart.info("classifier.weight").is_some()), (0, true));
    // Beside what a trainer adds.
    let mut beside = parts(&shipped("video_swin"));
    beside = beside.into_iter().map(|(name, tensor)| (format!("model.{name}"), tensor)).collect();
    beside.insert("criterion.weight".to_owned(), Tensor::new(vec![2], vec![1.0, 2.0]).expect("two"));
    let found = Checkpoint::parse(Path::new("BESIDE"), file(&beside)).expect("good");
    let found = found.described(shipped("video_swin").description().expect("readable").expect("there").to_owned());
    let unused = check(&found, &config(&found, &Overrides::default())).expect("fits").unused;
    assert_eq!(unused, ["criterion.weight"]);
}

#[test]
fn a_motionformer_is_found_behind_wrappers_too() {
    let original = Checkpoint::open(&support::shipped("models/trajectory_identity.pyth")).expect("shipped");
    let wrapped = parts(&original).into_iter().map(|(name, tensor)| (format!("model._orig_mod.{name}"), tensor)).collect();
    let found = Checkpoint::parse(Path::new("WRAPPED"), file(&wrapped)).expect("good");
    assert!(found.tensors().map(|(name, _)| name).eq(original.tensors().map(|(name, _)| name)));
}

#[test]
fn of_two_sets_of_weights_one_is_taken_and_the_other_named() {
    let original = parts(&shipped("swin"));
    let both = |first: &str, second: &str| {
        let zero = |tensor: &Tensor| Tensor::new(tensor.shape().to_vec(), vec![0.0; tensor.data().len()]).expect("as many");
        let zeros = original.iter().map(|(name, tensor)| (format!("{second}{name}"), zero(tensor)));
        let all: Parts = original.iter().map(|(name, tensor)| (format!("{first}{name}"), tensor.clone())).chain(zeros).collect();
        Checkpoint::parse(Path::new("BOTH"), file(&all)).expect("good")
    };
    for (first, second) in [
        ("model.", "ema_model."),
        ("teacher.", "student."),
        ("teacher.model.", "student.model."),
        ("online_model.", "ema_model."),
        ("net.module.", "ema.module."),
    ] {
        let found = both(first, second);
        assert_eq!(found.read("head.weight").expect("there"), original["head.weight"], "{first} {second}");
        let [note] = found.notes() else { panic!("{:?}", found.notes()) };
        let (first, second) = (first.replace("module.", ""), second.replace("module.", ""));
        assert!(note.contains(&format!("begin with {first:?}")) && note.contains(&format!("others with {second:?}")), "{note}");
    }
    let expected = "the tensors are those whose names have no prefix; there are others with \"ema.\"";
    assert_eq!(both("", "ema.").notes(), [expected]);
    // The same in names with the family's, of which each set is listed once.
    let family = parts(&shipped("timesformer_divided_space_time"));
    let prefixed = |prefix: &'static str| family.iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor.clone()));
    let three: Parts = ["ema_model.", "model.", "old."].into_iter().flat_map(prefixed).collect();
    let found = Checkpoint::parse(Path::new("THREE"), file(&three)).expect("good");
    let expected = "the tensors are those whose names begin with \"model.\"; there are others with \"ema_model.\", \"old.\"";
    assert_eq!(found.notes(), [expected]);
}

#[test]
fn a_network_is_found_beside_a_larger_one_and_beside_twins_of_its_tensors() {
    let original = parts(&shipped("swin"));
    let one = |value: f32| Tensor::new(vec![1], vec![value]).expect("one");
    let prefixed = || original.iter().map(|(name, tensor)| (format!("model.{name}"), tensor.clone()));
    let opened = |more: Parts| {
        let all = prefixed().chain(more).collect();
        Checkpoint::parse(Path::new("BESIDE"), file(&all)).expect("good")
    };
    let loss = opened((0..8 * original.len()).map(|number| (format!("lpips.lin.{number}.weight"), one(0.0))).collect());
    let twin = opened([("head.weight".to_owned(), one(7.0))].into());
    for found in [&loss, &twin] {
        assert_eq!(found.read("head.weight").expect("there"), original["head.weight"]);
        assert_eq!(Config::of(found, &Overrides::default()).expect("a Swin").network.name(), "Swin");
    }
    assert!(loss.notes().is_empty(), "{:?}", loss.notes());
    assert_eq!(twin.notes(), ["tensor \"head.weight\" is passed over, as there is another with \"model.\" before the same name"]);
}

/// TimeSformer's authors' name of one of Hugging Face's tensors.
fn of_authors(name: &str) -> String {
    let around = [
        ("timesformer.embeddings.patch_embeddings.projection", "model.patch_embed.proj"),
        ("timesformer.embeddings.cls_token", "model.cls_token"),
        ("timesformer.embeddings.position_embeddings", "model.pos_embed"),
        ("timesformer.embeddings.time_embeddings", "model.time_embed"),
        ("timesformer.layernorm", "model.norm"),
        ("classifier", "model.head"),
        ("timesformer.encoder.layer", "model.blocks"),
        // The longest first.
        ("temporal_attention.attention.qkv", "temporal_attn.qkv"),
        ("temporal_attention.output.dense", "temporal_attn.proj"),
        ("temporal_layernorm", "temporal_norm1"),
        ("temporal_dense", "temporal_fc"),
        ("attention.attention.qkv", "attn.qkv"),
        ("attention.output.dense", "attn.proj"),
        ("intermediate.dense", "mlp.fc1"),
        ("output.dense", "mlp.fc2"),
        ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"),
    ];
    around.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

#[test]
fn timesformers_have_their_authors_names() {
    for network in ["timesformer_divided_space_time", "timesformer_joint_space_time"] {
        let found = renamed(network, of_authors);
        assert_same(&found, network, &Overrides::default());
        assert_eq!(found.naming(), Some("TimeSformer's authors"));
    }
}

#[test]
fn vivits_have_the_names_that_they_have_in_memory() {
    let of_memory = |name: &str| {
        let pairs = [
            ("encoder.layer.", "layers."),
            ("attention.attention.query", "attention.q_proj"),
            ("attention.attention.key", "attention.k_proj"),
            ("attention.attention.value", "attention.v_proj"),
            ("attention.output.dense", "attention.o_proj"),
            ("intermediate.dense", "mlp.fc1"),
            ("output.dense", "mlp.fc2"),
        ];
        pairs.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
    };
    assert_same(&renamed("vivit", of_memory), "vivit", &Overrides::default());
    assert_same(&renamed("vivit", |name| format!("module.{}", of_memory(name))), "vivit", &Overrides::default());
    let bare = renamed("vivit", |name| of_memory(name.strip_prefix("vivit.").unwrap_or(name)));
    let config = config(&bare, &Overrides::default());
    assert_eq!((config.network.name(), check(&bare, &config).expect("fits").unused.len()), ("ViViT", 0));
}

/// The authors' name of one of torchvision's tensors; `late` if merging is the end of a stage, as theirs is, rather than the beginning of the next.
fn of_swins_authors(name: &str, is_flat: bool, late: bool) -> String {
    let first = usize::from(is_flat);
    let name = match name.strip_prefix("features.").and_then(|rest| rest.split_once('.')) {
        Some(("0", rest)) if is_flat => rest
            .replace("0.weight", "patch_embed.proj.weight")
            .replace("0.bias", "patch_embed.proj.bias")
            .replace("2.", "patch_embed.norm."),
        Some((number, rest)) => {
            let number = number.parse::<usize>().expect("a number") - first;
            let (stage, is_stage) = (number / 2, number.is_multiple_of(2));
            match is_stage {
                true => format!("layers.{stage}.blocks.{rest}"),
                false => format!("layers.{}.downsample.{rest}", if late { stage } else { stage + 1 }),
            }
        }
        None => name.to_owned(),
    };
    name.replace("mlp.0.", "mlp.fc1.").replace("mlp.3.", "mlp.fc2.")
}

#[test]
fn swins_have_the_names_of_authors_and_libraries() {
    for (network, is_flat) in [("swin", true), ("video_swin", false)] {
        for late in [true, false] {
            assert_same(&renamed(network, |name| of_swins_authors(name, is_flat, late)), network, &Overrides::default());
        }
        let recogniser = |name: &str| match of_swins_authors(name, is_flat, true).as_str() {
            "head.weight" => "cls_head.fc_cls.weight".to_owned(),
            "head.bias" => "cls_head.fc_cls.bias".to_owned(),
            other => format!("backbone.{other}"),
        };
        assert_same(&renamed(network, recogniser), network, &Overrides::default());
    }
}

/// The logits of a file of another library's.
#[derive(serde::Deserialize)]
struct Expected {
    shape: Vec<usize>,
    logits: Vec<f32>,
}

#[test]
fn what_other_libraries_saved_makes_their_logits() {
    let text = std::fs::read_to_string(support::shipped("checkpoints/expected.json")).expect("shipped");
    let all: BTreeMap<String, Expected> = serde_json::from_str(&text).expect("as written");
    assert_eq!(all.len(), 5);
    let folder = tempfile::tempdir().expect("a place to write");
    for (name, Expected { shape, logits }) in all {
        let checkpoint = Checkpoint::open(&support::shipped(&format!("checkpoints/{name}"))).expect("good");
        let heads = name.contains("timesformer").then_some(2);
        let frames = name.contains("mmaction_swin").then_some(8);
        let overrides = Overrides { heads, frames, crop: Some(32), ..Overrides::default() };
        let config = config(&checkpoint, &overrides);
        assert_eq!(check(&checkpoint, &config).expect("fits").unused, Vec::<String>::new(), "{name}");
        let is_mmaction = name.starts_with("mmaction_timesformer");
        assert!(!is_mmaction || (config.protocol.mean, config.protocol.std) == ([0.5; 3], [0.5; 3]), "{name}: as in mmaction2");
        // The same after it has been converted, when names are the network's own.
        let converted = folder.path().join("converted.safetensors");
        convert(&checkpoint, &converted, None).expect("can be written");
        let converted = Checkpoint::open(&converted).expect("good");
        assert_eq!(Config::of(&converted, &overrides).expect("the same"), config);
        let count: usize = shape.iter().product();
        let values = (0..count).map(|index| ((index * 7919 % 251) as f32 - 125.0) / 125.0).collect();
        let mut input = Tensor::new(shape.clone(), values).expect("all of them");
        if let &[batch, channels, height, width] = shape.as_slice() {
            input = Tensor::new(vec![batch, channels, 1, height, width], input.into_data()).expect("one frame");
        }
        for checkpoint in [checkpoint, converted] {
            let model = Model::new(Placed::Reference, checkpoint, config.clone(), Element::F32).expect("good");
            let found = model.forward(&input).expect("runs").remove(0);
            let expected = Tensor::new(vec![1, 5], logits.clone()).expect("five");
            let found = compare(&found, &expected, Tolerance::LAYER);
            assert!(found.passed(), "{name}: {found:?}");
        }
    }
}

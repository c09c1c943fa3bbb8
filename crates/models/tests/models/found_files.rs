//! Checkpoints as people have them: under other keys of a dictionary, beside a trainer's state, in folders and in shards; and what others are told.

use std::fs;
use std::path::{Path, PathBuf};

use orthoformer::plan::Element;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{Config, Model, Overrides, Placed, classify};
use serde_json::{Value, json};
use support::engine;

use crate::checkpoints::{Pickle, archive, checkpoint, vector};
use crate::found_names::{file, parts, shipped};

fn saved(name: &str) -> PathBuf {
    support::shipped(&format!("checkpoints/{name}"))
}

fn opened(path: &Path) -> Result<Checkpoint, String> {
    Checkpoint::open(path).map_err(|error| error.to_string())
}

/// A dictionary of dictionaries with one tensor `t` of the numbers 1 and 2 each.
fn dictionaries(keys: &[&str]) -> Vec<u8> {
    let inner = |pickle: Pickle, key: &&str| pickle.text(key).raw(b"}").text("t").tensor(&vector("0", 2)).raw(b"ss");
    checkpoint(&keys.iter().fold(Pickle::new().raw(b"}"), inner).raw(b".").0, &[1.0, 2.0])
}

#[test]
fn tensors_are_found_under_the_keys_of_libraries() {
    let keys = [
        "state_dict",
        "model",
        "model_state",
        "model_state_dict",
        "module",
        "net",
        "network",
        "state_dict_ema",
        "model_ema",
        "ema",
        "ema_state_dict",
        "teacher",
        "weights of mine",
    ];
    for key in keys {
        let found = Checkpoint::parse(Path::new("MEMORY"), dictionaries(&[key])).expect("good");
        assert_eq!((found.read("t").expect("there").data(), found.notes().len()), (&[1.0, 2.0][..], 0), "{key}");
    }
    // What the libraries take that write both.
    for (both, taken, other) in [
        (["ema", "model"], "model", "ema"),
        (["model_ema", "model"], "model", "model_ema"),
        (["state_dict_ema", "state_dict"], "state_dict_ema", "state_dict"),
        (["generator", "state_dict"], "state_dict", "generator"),
    ] {
        let found = Checkpoint::parse(Path::new("MEMORY"), dictionaries(&both)).expect("good");
        let expected = format!("the tensors are those under {taken:?}; there are others under {other:?}");
        assert_eq!(found.notes(), [expected]);
    }
    // One dictionary in another.
    let nested = Pickle::new().raw(b"}").text("checkpoint").raw(b"}").text("model").raw(b"}").text("t").tensor(&vector("0", 2));
    let found = Checkpoint::parse(Path::new("MEMORY"), checkpoint(&nested.raw(b"sss.").0, &[1.0, 2.0])).expect("good");
    assert_eq!(found.read("t").expect("there").data(), [1.0, 2.0]);
}

#[test]
fn what_trainers_keep_beside_the_tensors_is_named_and_passed_over() {
    let found = Checkpoint::open(&saved("training.pth")).expect("good");
    assert_eq!(found.tensors().map(|(name, _)| name).collect::<Vec<_>>(), ["fc.bias", "fc.weight"]);
    assert_eq!(found.read("fc.weight").expect("there").data(), [1.0, 2.0]);
    let [both, objects] = found.notes() else { panic!("{:?}", found.notes()) };
    assert_eq!(both, "the tensors are those under \"model\"; there are others under \"model_ema\"");
    let expected = "objects that are no tensors are passed over: __builtin__.frozenset, __builtin__.set, _codecs.encode, argparse.Namespace, ";
    assert!(objects.starts_with(expected) && objects.ends_with(" more"), "{objects}");
    let whole = opened(&saved("whole_model.pth")).expect_err("no dictionary");
    let expected = "it holds an object of torch.nn.modules.linear.Linear rather than a dictionary of tensors; save the state_dict() of a model";
    assert!(whole.ends_with(expected), "{whole}");
}

#[test]
fn objects_of_any_kind_do_no_harm() {
    // Made in every way that pickles know, filled, given attributes, called.
    let made = [
        &b"cm\nC\n)R"[..],
        b"cm\nC\n)\x81",
        b"cm\nC\n)}\x92",
        b"(cm\nC\no",
        b"(im\nC\n",
        b"cm\nC\n)RNb",
        b"cm\nC\n)R(NNu",
        b"cm\nC\n)R(Ne",
        b"cm\nC\n)R)R",
        b"\x8f(N\x90",
        b"(N\x91",
        b"\x96\x01\0\0\0\0\0\0\0x",
    ];
    for made in made {
        let pickle = Pickle::new().raw(b"}").text("o").raw(made).raw(b"s").text("t").tensor(&vector("0", 2)).raw(b"s.");
        let found = Checkpoint::parse(Path::new("MEMORY"), checkpoint(&pickle.0, &[1.0, 2.0])).expect("harmless");
        assert_eq!(found.read("t").expect("there").data(), [1.0, 2.0]);
    }
    // A function that calls what it is given, given itself.
    let itself = Pickle::new().global("torch._tensor", "_rebuild_from_type_v2").raw(b"q\x00(h\x00N)NtR.");
    let refused = Checkpoint::parse(Path::new("MEMORY"), checkpoint(&itself.0, &[1.0, 2.0])).expect_err("damaged").to_string();
    assert!(refused.contains("calls RebuildFromType with 4 arguments it does not take"), "{refused}");
    // A tensor of a subclass, and one of a type that is not read.
    let subclass = Pickle::new().raw(b"}").text("t").global("torch._tensor", "_rebuild_from_type_v2").raw(b"(");
    let subclass =
        subclass.global("torch._utils", "_rebuild_tensor_v2").global("mine", "Tensor").raw(b"(").storage(&vector("0", 2));
    let subclass = subclass.int(0).ints(&[2]).ints(&[1]).raw(b"\x89Nt}tRs.");
    let found = Checkpoint::parse(Path::new("MEMORY"), checkpoint(&subclass.0, &[1.0, 2.0])).expect("good");
    assert_eq!(found.read("t").expect("there").data(), [1.0, 2.0]);
}

/// A folder with the shipped TimeSformer in so many shards.
fn sharded(count: usize, ending: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a place to write");
    let original = shipped("timesformer_divided_space_time");
    let (all, mut map) = (parts(&original), serde_json::Map::new());
    for number in 0..count {
        let name = format!("model-{:05}-of-{count:05}.{ending}", number + 1);
        let own: Vec<_> = all.iter().skip(number).step_by(count).map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        map.extend(own.iter().map(|(tensor, _)| (tensor.clone(), Value::from(name.as_str()))));
        fs::write(folder.path().join(name), file(&own.into_iter().collect())).expect("writable");
    }
    let list = folder.path().join(format!("model.{ending}.index.json"));
    fs::write(&list, json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string()).expect("writable");
    let description = original.description().expect("readable").expect("there");
    fs::write(folder.path().join("config.json"), description).expect("writable");
    (folder, list)
}

#[test]
fn shards_are_one_checkpoint() {
    let original = shipped("timesformer_divided_space_time");
    for (count, ending) in [(1, "safetensors"), (4, "safetensors")] {
        let (folder, list) = sharded(count, ending);
        for path in [&list, folder.path()] {
            let found = Checkpoint::open(path).expect("whole");
            assert!(parts(&found) == parts(&original), "{count} shards");
            assert_eq!(
                Config::of(&found, &Overrides::default()).expect("described"),
                Config::of(&original, &Overrides::default()).expect("described")
            );
        }
    }
    // A list of another name, with a mark of byte order, without a tensor that a shard has.
    let (folder, list) = sharded(2, "safetensors");
    let mut all: Value = serde_json::from_str(&fs::read_to_string(&list).expect("there")).expect("JSON");
    all["weight_map"].as_object_mut().expect("an object").remove("classifier.bias").expect("listed");
    fs::remove_file(&list).expect("there");
    fs::write(folder.path().join("model.safetensors.index.fp16.json"), format!("\u{feff}{all}")).expect("writable");
    assert!(parts(&Checkpoint::open(folder.path()).expect("whole")) == parts(&original));
    let (folder, list) = sharded(3, "safetensors");
    let shard = folder.path().join("model-00002-of-00003.safetensors");
    let alone = opened(&shard).expect_err("a part");
    assert!(alone.ends_with("one of 3 shards of a checkpoint; give their folder, or model.safetensors.index.json"), "{alone}");
    fs::rename(&shard, folder.path().join("elsewhere")).expect("moved");
    let missing = opened(folder.path()).expect_err("not whole");
    assert!(missing.ends_with("its shard \"model-00002-of-00003.safetensors\" is missing from the folder"), "{missing}");
    // Another shard in its place.
    fs::copy(folder.path().join("model-00001-of-00003.safetensors"), &shard).expect("copied");
    assert!(opened(&list).expect_err("not whole").contains("is not in its shard \"model-00002-of-00003.safetensors\""));
    for (text, expected) in [
        ("{", "no list of shards that can be read: EOF"),
        ("{}", "missing field `weight_map`"),
        (r#"{"weight_map": {}}"#, "it lists 0 shards"),
        (r#"{"weight_map": {"a": "../a.bin"}}"#, "its shard \"../a.bin\" is not in the same folder"),
        (r#"{"weight_map": {"a": ".."}}"#, "its shard \"..\" is not in the same folder"),
    ] {
        fs::write(&list, text).expect("writable");
        let found = opened(&list).expect_err("no list");
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn folders_are_opened_as_libraries_open_them() {
    let folder = tempfile::tempdir().expect("a place to write");
    let place = |name: &str| folder.path().join(name);
    let refused = || opened(folder.path()).expect_err("nothing to open");
    assert!(refused().ends_with("a folder without weights, such as model.safetensors or pytorch_model.bin"), "{}", refused());
    fs::write(place("adapter_model.safetensors"), b"").expect("writable");
    assert!(refused().contains("a folder with a LoRA adapter"), "{}", refused());
    fs::remove_file(place("adapter_model.safetensors")).expect("there");
    let small = crate::checkpoints::small();
    fs::write(place("last.ckpt"), &small).expect("writable");
    assert_eq!(Checkpoint::open(folder.path()).expect("the only one").path(), place("last.ckpt"));
    fs::write(place("best.pth"), &small).expect("writable");
    assert!(refused().ends_with("a folder with 2 files of weights (\"best.pth\", \"last.ckpt\"); say which"), "{}", refused());
    fs::write(place("pytorch_model.bin"), &small).expect("writable");
    assert_eq!(Checkpoint::open(folder.path()).expect("its name counts").path(), place("pytorch_model.bin"));
}

#[test]
fn a_masked_class_has_no_probability() {
    let original = shipped("timesformer_divided_space_time");
    let with_bias = |value: f32| {
        let mut all = parts(&original);
        let bias = all.get_mut("classifier.bias").expect("there");
        let mut values = bias.data().to_vec();
        values[1] = value;
        *bias = orthoformer::Tensor::new(vec![values.len()], values).expect("as many");
        let description = original.description().expect("readable").expect("there").to_owned();
        Checkpoint::parse(Path::new("MASKED"), file(&all)).expect("good").described(description)
    };
    let views = "1x1".parse().expect("right");
    for placed in [Placed::Gpu(engine()), Placed::Reference] {
        for element in [Element::F32, Element::F16] {
            let probabilities = |value: f32| {
                let checkpoint = with_bias(value);
                let config =
                    Config::of(&checkpoint, &Overrides { segments: Some(true), ..Overrides::default() }).expect("described");
                let model = Model::new(placed, checkpoint, config, element).expect("good");
                let clips = [support::shipped("clips/ball.gif")];
                let mut all = Vec::new();
                assert!(classify(&model, &clips, (views, 1), None, &mut all).expect("runs").is_continue());
                let mut found = all.remove(0);
                match found.watched.failure {
                    Some(failure) => Err(failure.to_string()),
                    None => Ok(found.heads.remove(0).probabilities()),
                }
            };
            let (masked, small) = (probabilities(f32::NEG_INFINITY).expect("masks"), probabilities(-60_000.0).expect("finite"));
            assert_eq!(masked[1], 0.0);
            assert!((masked.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let far = masked.iter().zip(&small).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(far < 1e-6, "{placed:?} {element}: {far}");
            for wrong in [f32::NAN, f32::INFINITY] {
                assert!(probabilities(wrong).expect_err("no number").contains("the network makes"), "{wrong}");
            }
        }
    }
}

#[test]
fn other_models_are_called_by_their_names() {
    let named = |names: &[&str]| {
        let one = |name: &&str| ((*name).to_owned(), orthoformer::Tensor::new(vec![1], vec![0.0]).expect("one"));
        Checkpoint::parse(Path::new("OTHER"), file(&names.iter().map(one).collect())).expect("good")
    };
    let said = |checkpoint: &Checkpoint| Config::of(checkpoint, &Overrides::default()).expect_err("another").to_string();
    for (names, expected) in [
        (&["model.0.conv.weight", "model.2.cv1.conv.weight"][..], "OTHER: a YOLO; networks that are read are TimeSformer, ViViT"),
        (&["base_model.model.encoder.layer.0.q.lora_A.weight"], "a LoRA adapter: it changes the weights of another model"),
        (&["cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"], "a ViT for pictures"),
        (&["layer1.0.conv1.weight", "fc.weight"], "a ResNet"),
        (&["swin.encoder.layers.0.blocks.0.layernorm_before.weight"], "a Swin of Hugging Face"),
        (&["one", "two"], "a checkpoint of no network that can be told by its tensors: \"one\", \"two\""),
    ] {
        let found = said(&named(names));
        assert!(found.contains(expected), "{found}");
    }
    let described = named(&["x"]).described(json!({"model_type": "clip", "architectures": ["CLIPModel"]}).to_string());
    assert!(said(&described).contains("by its config.json a \"clip\" (CLIPModel); networks"), "{}", said(&described));
    // What is read is not refused as if it were not.
    let described = named(&["a", "b"]).described(json!({"model_type": "timesformer"}).to_string());
    let expected = "its config.json says \"timesformer\", but its tensors are named \"a\", \"b\"; expected names such as \"timesformer.embeddings.";
    assert!(said(&described).contains(expected), "{}", said(&described));
    let all = said(&named(&["x"]));
    for name in [
        "Motionformer",
        "TimeSformer",
        "ViViT",
        "VideoMAE",
        "V-JEPA 2",
        "Video Swin",
        "Perceiver",
        "Deformable Video Transformer",
    ] {
        assert!(all.contains(name), "{all}");
    }
    let refusal = |bytes: &[u8]| Checkpoint::parse(Path::new("FILE"), bytes.to_vec()).expect_err("another").to_string();
    for (bytes, expected) in [
        (&b"GGUF\x03\0\0\0"[..], "a GGUF file"),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0", "an HDF5 file, as TensorFlow"),
        (b"\x1c\0\0\0TFL3\0\0", "a model of TensorFlow Lite"),
        (b"\x08\x07\x12\x07pytorch\x1a\x052.0.0", "a model in ONNX"),
        (b"\0\0\0\x18ftypmp42", "a clip, not a checkpoint"),
        (b"{\"weights\": 1}", "a text in JSON"),
        (b"\x1f\x8b\x08", "packed with gzip"),
    ] {
        let found = refusal(bytes);
        assert!(found.contains(expected), "{found}");
    }
    assert!(refusal(&archive(&[("arr_0.npy", b"")])).contains("arrays of NumPy (.npz)"));
}

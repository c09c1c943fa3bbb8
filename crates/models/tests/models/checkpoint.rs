//! Checkpoints that are as they should be: what PyTorch saved, what was put together by hand, and what becomes of them as safetensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use orthoformer::plan::Element;
use orthoformer::{Error, Tensor};
use orthoformer_models::checkpoint::{Checkpoint, ElementType, convert};

use crate::checkpoints::{Pickle, Stored, archive, checkpoint, floats, small, vector};

fn model(name: &str) -> PathBuf {
    support::shipped(&format!("models/{name}"))
}

fn parsed(bytes: Vec<u8>) -> Checkpoint {
    Checkpoint::parse(Path::new("memory"), bytes).expect("a good checkpoint")
}

fn read(checkpoint: &Checkpoint, name: &str) -> Tensor {
    checkpoint.read(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// One tensor of the storage `0`, whose bytes these are.
fn only(stored: Stored, bytes: &[u8]) -> Checkpoint {
    parsed(archive(&[("m/data.pkl", &Pickle::of(&[("t", stored)])), ("m/data/0", bytes)]))
}

/// Sum of a tensor's numbers, and a sum that changes with their order.
fn sums(tensor: &Tensor) -> (f64, f64) {
    let numbers = || tensor.data().iter().map(|&number| f64::from(number));
    (numbers().sum(), numbers().enumerate().map(|(index, number)| number * (index % 97) as f64).sum())
}

#[test]
fn what_pytorch_saved_is_read() {
    for (name, count, expected) in FIXTURES {
        let checkpoint = Checkpoint::open(&model(name)).expect("a good checkpoint");
        assert_eq!(checkpoint.path(), model(name));
        assert_eq!(checkpoint.metadata().get("epoch").map(String::as_str), Some("0"));
        assert!(checkpoint.config().is_some_and(|config| config.starts_with("AVA:\n") && config.contains("MODEL:\n")));
        assert_eq!(checkpoint.tensors().count(), *count);
        assert!(checkpoint.tensors().map(|(name, _)| name).is_sorted());
        for (tensor, shape, sum, weighted) in *expected {
            let info = checkpoint.info(tensor).expect("is there");
            assert_eq!((info.shape.as_slice(), info.element), (*shape, ElementType::F32));
            let read = read(&checkpoint, tensor);
            let found = sums(&read);
            assert_eq!(read.shape(), *shape);
            assert!((found.0 - sum).abs() < 1e-9 && (found.1 - weighted).abs() < 1e-7, "{name} {tensor}: {found:?}");
        }
    }
}

#[test]
fn strides_and_offsets_are_honoured() {
    let twelve: Vec<f32> = (0..12).map(|index| index as f32).collect();
    let cases: [(Stored, &[f32]); 6] = [
        (
            Stored { shape: &[4, 3], strides: &[1, 4], ..vector("0", 12) },
            &[0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0],
        ),
        (Stored { offset: 6, shape: &[2, 2], strides: &[4, 1], ..vector("0", 12) }, &[6.0, 7.0, 10.0, 11.0]),
        (Stored { offset: 11, shape: &[], strides: &[], ..vector("0", 12) }, &[11.0]),
        (Stored { offset: 2, shape: &[2, 3], strides: &[0, 0], ..vector("0", 12) }, &[2.0; 6]),
        (Stored { shape: &[1, 2, 1, 2], strides: &[999, 6, i32::MAX, 3], ..vector("0", 12) }, &[0.0, 3.0, 6.0, 9.0]),
        (Stored { offset: 99, shape: &[0, 3], strides: &[3, 1], ..vector("0", 12) }, &[]),
    ];
    for (stored, expected) in cases {
        let tensor = read(&only(stored, &floats(&twelve)), "t");
        let shape: Vec<usize> = stored.shape.iter().map(|&size| size as usize).collect();
        assert_eq!((tensor.shape(), tensor.data()), (shape.as_slice(), expected));
    }
}

#[test]
fn all_floats_are_read_and_nothing_else_is() {
    let numbers = [1.5_f32, -0.25];
    let halves: Vec<u8> = numbers.iter().flat_map(|&number| f16::from_f32(number).to_le_bytes()).collect();
    let brains: Vec<u8> = numbers.iter().flat_map(|&number| bf16::from_f32(number).to_le_bytes()).collect();
    let doubles: Vec<u8> = numbers.iter().flat_map(|&number| f64::from(number).to_le_bytes()).collect();
    let cases = [
        ("FloatStorage", ElementType::F32, floats(&numbers)),
        ("HalfStorage", ElementType::F16, halves),
        ("BFloat16Storage", ElementType::BF16, brains),
        ("DoubleStorage", ElementType::F64, doubles),
    ];
    for (class, element, bytes) in cases {
        let checkpoint = only(Stored { class, ..vector("0", 2) }, &bytes);
        assert_eq!(checkpoint.info("t").map(|info| info.element), Some(element));
        assert_eq!(read(&checkpoint, "t").data(), numbers);
    }
    let others = [("LongStorage", 8, "I64"), ("IntStorage", 4, "I32"), ("ShortStorage", 2, "I16"), ("CharStorage", 1, "I8")];
    for (class, size, found) in others.into_iter().chain([("ByteStorage", 1, "U8"), ("BoolStorage", 1, "BOOL")]) {
        let checkpoint = only(Stored { class, ..vector("0", 2) }, &vec![1; 2 * size]);
        let error = checkpoint.read("t").expect_err("no floats").to_string();
        assert_eq!(error, format!("tensor \"t\" has element type {found}; expected F64, F32, F16 or BF16"));
    }
    let large = only(Stored { class: "DoubleStorage", ..vector("0", 2) }, &[1e300_f64.to_le_bytes(), [0; 8]].concat());
    assert!(matches!(large.read("t"), Err(Error::WrongNumber { name, found, .. }) if name == "t" && found == "1e300"));
}

#[test]
fn tensors_are_found_wherever_they_are_kept() {
    let checkpoint = parsed(small());
    assert_eq!(checkpoint.tensors().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b", "steps"]);
    assert_eq!((read(&checkpoint, "a").data(), read(&checkpoint, "b").data()), (&[1.0, 3.0, 2.0, 4.0][..], &[0.0, 1.0][..]));
    let metadata = [("cfg", "A: 1\n"), ("epoch", "7")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!((checkpoint.metadata(), checkpoint.config()), (&BTreeMap::from(metadata), Some("A: 1\n")));
    let missing = checkpoint.read("c").expect_err("not there").to_string();
    assert_eq!(missing, "tensor \"c\" is missing; given are: a, b, steps");
    for key in ["state_dict", "model"] {
        let pickle = Pickle::new().raw(b"}").text(key).raw(b"}").text("t").tensor(&vector("0", 2)).raw(b"ss.").0;
        let checkpoint = parsed(self::checkpoint(&pickle, &[1.0, 2.0]));
        assert_eq!((read(&checkpoint, "t").data(), checkpoint.config()), (&[1.0, 2.0][..], None));
    }
}

#[test]
fn parameters_attributes_and_later_protocols_are_read() {
    // A parameter, sizes by `torch.Size`, and the versions of modules that `state_dict` hangs on its dictionary.
    let dict =
        Pickle::new().global("collections", "OrderedDict").raw(b")R").text("t").global("torch._utils", "_rebuild_parameter");
    let parameter = dict.raw(b"(").tensor(&vector("0", 2)).raw(b"\x88").global("collections", "OrderedDict").raw(b")RtRs");
    let pickle = parameter.raw(b"}").text("_metadata").raw(b"}sb.").0;
    assert_eq!(read(&parsed(checkpoint(&pickle, &[1.0, 2.0])), "t").data(), [1.0, 2.0]);
    // Attributes of a parameter.
    let parameter = Pickle::new().raw(b"}").text("t").tensor(&vector("0", 2)).raw(b"}").text("tag").int(1).raw(b"sbs.").0;
    assert_eq!(read(&parsed(checkpoint(&parameter, &[1.0, 2.0])), "t").data(), [1.0, 2.0]);
    let sized = Pickle::new().raw(b"}").text("t").global("torch._utils", "_rebuild_tensor_v2").raw(b"(").storage(&vector("0", 2));
    let sized = sized.int(0).global("torch", "Size").ints(&[2]).raw(b"\x85R").ints(&[1]).raw(b"\x89}tRs.").0;
    assert_eq!(read(&parsed(checkpoint(&sized, &[1.0, 2.0])), "t").data(), [1.0, 2.0]);
    // What PyTorch 2 saves with `pickle_protocol=4`.
    let later = b"\x80\x04\x95\x96\0\0\0\0\0\0\0}\x94\x8c\x01a\x94\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_tensor_v2\x94\x93\x94((\
        \x8c\x07storage\x94\x8c\x05torch\x94\x8c\x0cFloatStorage\x94\x93\x94\x8c\x010\x94\x8c\x03cpu\x94K\x0ct\x94QK\0K\x03K\x04\x86\x94\
        K\x04K\x01\x86\x94\x89\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94t\x94R\x94s.";
    let tensor = read(&parsed(checkpoint(later, &[0.5; 12])), "a");
    assert_eq!((tensor.shape(), tensor.data()), (&[3, 4][..], &[0.5; 12][..]));
}

#[test]
fn converting_keeps_names_shapes_and_configuration() {
    let folder = tempfile::tempdir().expect("a place to write");
    let (first, second) = (folder.path().join("first.safetensors"), folder.path().join("second.safetensors"));
    for (original, parameters) in [(Checkpoint::open(&model("patches_2d.pyth")).expect("good"), 156_869), (parsed(small()), 6)] {
        for element in [None, Some(Element::F32), Some(Element::F16)] {
            let written = convert(&original, &first, element).expect("can be written");
            let converted = Checkpoint::open(&first).expect("good");
            assert_eq!((written.parameters, written.bytes), (parameters, std::fs::metadata(&first).expect("there").len()));
            assert_eq!(written.names.len(), original.tensors().count());
            assert_eq!((converted.metadata(), converted.config()), (original.metadata(), original.config()));
            for (name, info) in original.tensors() {
                let found = converted.info(name).expect("kept");
                let float = if element == Some(Element::F16) { ElementType::F16 } else { ElementType::F32 };
                assert_eq!(found.element, if info.element.is_float() { float } else { info.element });
                assert_eq!(found.shape, info.shape);
                if info.element.is_float() {
                    let mut expected = read(&original, name).into_data();
                    if element == Some(Element::F16) {
                        expected.iter_mut().for_each(|number| *number = f16::from_f32(*number).to_f32());
                    }
                    assert_eq!(read(&converted, name).data(), expected);
                }
            }
            // The library that others read it with takes it too, and converting again makes the same file.
            let bytes = std::fs::read(&first).expect("there");
            safetensors::SafeTensors::deserialize(&bytes).expect("well-formed");
            convert(&converted, &second, None).expect("can be written");
            assert!(std::fs::read(&second).expect("there") == bytes);
        }
    }
}

#[test]
fn a_case_is_a_checkpoint_too() {
    let checkpoint = Checkpoint::open(&model("patches_2d.safetensors")).expect("good");
    assert!(checkpoint.tensors().count() > 0 && checkpoint.config().is_none());
    for (name, info) in checkpoint.tensors().filter(|(_, info)| info.element.is_float()) {
        assert_eq!(read(&checkpoint, name).shape(), info.shape);
    }
}

#[test]
fn what_float16_cannot_hold_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a place to write");
    let out = folder.path().join("out.safetensors");
    let large = only(vector("0", 2), &floats(&[1.0, 65_520.0]));
    let error = convert(&large, &out, Some(Element::F16)).expect_err("too large").to_string();
    assert_eq!(error, "tensor \"t\" holds 65520; expected numbers up to 65504 in size, which is what f16 holds; f32 holds more");
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);
    // What is infinite already stays so, and what is rounded down to the largest number may be.
    let edge = only(vector("0", 2), &floats(&[f32::NEG_INFINITY, 65_519.0]));
    convert(&edge, &out, Some(Element::F16)).expect("can be written");
    assert_eq!(read(&Checkpoint::open(&out).expect("good"), "t").data(), [f32::NEG_INFINITY, 65_504.0]);
    let nowhere = convert(&edge, &folder.path().join("no/such/folder/out"), None).expect_err("nowhere to write");
    assert!(matches!(nowhere, Error::File { .. }));
    let named = parsed(checkpoint(&Pickle::of(&[("__metadata__", vector("0", 2))]), &[1.0, 2.0]));
    assert!(convert(&named, &out, None).expect_err("a name of the format's own").to_string().contains("__metadata__"));
}

#[test]
fn checkpoints_go_from_thread_to_thread() {
    fn goes<T: Send + Sync>() {}
    goes::<Checkpoint>();
}

/// A tensor of a fixture: its name, its shape, and its sums.
type Expected = (&'static str, &'static [usize], f64, f64);

/// What PyTorch says of these files.
const FIXTURES: &[(&str, usize, &[Expected])] = &[
    (
        "patches_2d.pyth",
        45,
        &[
            ("cls_token", &[1, 1, 48], 0.8844501506537199, -35.45220058225095),
            ("pos_embed", &[1, 197, 48], -6.300093937323254, -257.47930800149334),
            ("patch_embed.proj.weight", &[48, 3, 16, 16], -16.203196663860922, -674.2468473926737),
            ("patch_embed_3d.proj.weight", &[48, 3, 1, 16, 16], -1.1848959040891032, 154.1860942254449),
            ("blocks.0.attn.qkv.weight", &[144, 48], -2.709781074246166, 158.88162176981768),
            ("blocks.1.mlp.fc2.weight", &[48, 192], -0.1085196813753555, -113.69606615872635),
            ("head.bias", &[5], 0.08358002454042435, -1.2556092292070389),
        ],
    ),
    (
        "position_joint_224.pyth",
        29,
        &[
            ("st_embed", &[1, 1569, 24], 22.915966360980747, 233.8219164484708),
            ("pos_embed", &[1, 197, 24], -17.785683936745045, -805.5276880905294),
            ("blocks.0.attn.proj.weight", &[24, 24], 2.961501667567063, -31.607568682869896),
            ("head.weight", &[5, 24], -1.1966276671737432, 11.133260793052614),
        ],
    ),
];

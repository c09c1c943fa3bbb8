//! Checkpoints that are damaged, or made to do harm: each is refused with a reason, or read rightly. Nothing panics, hangs or takes much memory.

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use orthoformer::Error;
use orthoformer_models::checkpoint::Checkpoint;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::checkpoints::{Pickle, Stored, archive, checkpoint, floats, small, vector};

/// What is over in a second or two is not, if it hangs; a busy machine may take its time.
const FOR_EVER: Duration = Duration::from_secs(300);

fn parse(bytes: Vec<u8>) -> orthoformer::Result<Checkpoint> {
    Checkpoint::parse(Path::new("FILE"), bytes)
}

/// Why these bytes are refused.
fn refusal(bytes: Vec<u8>) -> String {
    match parse(bytes) {
        Err(Error::Contents { path, reason }) if path == Path::new("FILE") => reason,
        other => panic!("must be refused: {other:?}"),
    }
}

/// Why a checkpoint with this pickle is refused; its storage holds two numbers.
fn pickle_refusal(pickle: Pickle) -> String {
    refusal(checkpoint(&pickle.0, &[1.0, 2.0]))
}

fn tensor_refusal(stored: Stored) -> String {
    refusal(checkpoint(&Pickle::of(&[("t", stored)]), &[1.0, 2.0]))
}

/// Reads whatever can be read; how many tensors that is.
fn read_all(bytes: Vec<u8>) -> usize {
    let Ok(checkpoint) = parse(bytes) else { return 0 };
    checkpoint.tensors().filter(|(name, _)| checkpoint.read(name).is_ok()).count()
}

#[test]
fn nothing_but_tensors_and_containers_is_made() {
    let system = Pickle::new().global("os", "system").text("touch harm").raw(b"\x85R.");
    assert_eq!(pickle_refusal(system), "its pickle asks for \"os.system\", which no checkpoint needs: do not load it anywhere");
    let stacked = Pickle::new().raw(b"\x8c\x08builtins\x8c\x04eval\x93.");
    assert!(pickle_refusal(stacked).starts_with("its pickle asks for \"builtins.eval\", which no checkpoint needs"));
    assert!(pickle_refusal(Pickle::new().raw(b"(ios\nsystem\n.")).starts_with("its pickle asks for \"os.system\", "));
    for (module, name) in
        [("torch", "load"), ("posix", "popen"), ("os.path", "join"), ("torch.hub", "load"), ("builtins", "__import__")]
    {
        let asked = pickle_refusal(Pickle::new().global(module, name));
        assert!(asked.starts_with(&format!("its pickle asks for \"{module}.{name}\", ")), "{asked}");
    }
    let long = pickle_refusal(Pickle::new().global(&"x".repeat(100_000), "y"));
    assert!(long.len() < 300 && long.contains("xxx..."), "{long}");
    assert!(pickle_refusal(Pickle::new().raw(b"((o.")).contains("makes an object of no class"));
    for objects in [&b"))\x81."[..], b"))}\x92.", b"()o."] {
        assert!(pickle_refusal(Pickle::new().raw(objects)).contains("would call a tuple"));
    }
    let object = pickle_refusal(Pickle::new().global("mine", "Net").raw(b")\x81."));
    assert!(object.starts_with("it holds an object of mine.Net rather than a dictionary of tensors"), "{object}");
    assert!(pickle_refusal(Pickle::new().raw(b"\x82\x01.")).contains("registered extension"));
    assert!(pickle_refusal(Pickle::new().raw(b"I1\n.")).contains("opcode 0x49 at byte 2"));
    assert!(pickle_refusal(Pickle::new().text("t").raw(b"}b.")).contains("set attributes of text"));
    assert!(pickle_refusal(Pickle::new().text("t").raw(b")R.")).contains("call text"));
    let arguments = Pickle::new().global("collections", "OrderedDict").int(1).raw(b"\x85R.");
    assert!(pickle_refusal(arguments).contains("calls OrderedDict with 1 arguments it does not take (an integer)"));
    assert!(pickle_refusal(Pickle::new().text("storage").raw(b"Q.")).contains("refers to something that is no storage"));
    let negative = Pickle::new().raw(b"}").text("t").storage(&Stored { count: -1, ..vector("0", 2) });
    assert!(pickle_refusal(negative).contains("is no storage (text, a type, text, text, an integer)"));
}

#[test]
fn tensors_stay_within_their_storages() {
    let two = vector("0", 2);
    let beyond = tensor_refusal(Stored { offset: 1, ..two });
    assert_eq!(beyond, "tensor \"t\": shape [2] with strides [1] and offset 1 reaches beyond its storage of 2 numbers");
    assert!(tensor_refusal(Stored { shape: &[2, 2], strides: &[0, 2], ..two }).contains("reaches beyond"));
    assert!(tensor_refusal(Stored { strides: &[i32::MAX], ..two }).contains("reaches beyond"));
    assert!(tensor_refusal(Stored { shape: &[i32::MAX; 3], strides: &[i32::MAX; 3], ..two }).contains("reaches beyond"));
    assert!(tensor_refusal(Stored { strides: &[-1], ..two }).contains("-1 in its strides; it must not be negative"));
    assert!(tensor_refusal(Stored { shape: &[-2], ..two }).contains("-2 in its shape"));
    assert!(tensor_refusal(Stored { offset: -1, ..two }).contains("-1 in its offset"));
    assert!(tensor_refusal(Stored { strides: &[1, 1], ..two }).contains("shape [2] with strides [1, 1]"));
    assert!(tensor_refusal(Stored { shape: &[1; 17], strides: &[1; 17], ..two }).contains("17 axes; at most 16"));
    assert!(tensor_refusal(Stored { count: 3, ..two }).contains("to hold 3 numbers of 4 bytes, but has 8 bytes"));
    assert!(tensor_refusal(Stored { class: "DoubleStorage", ..two }).contains("to hold 2 numbers of 8 bytes, but has 8 bytes"));
    assert!(tensor_refusal(Stored { key: "5", ..two }).contains("storage \"5\" has no entry"));
    // Repeated numbers would take gigabytes.
    assert!(tensor_refusal(Stored { shape: &[1 << 30], strides: &[0], ..two }).contains("sixteen times"));
    assert!(tensor_refusal(Stored { shape: &[i32::MAX; 3], strides: &[0; 3], ..two }).contains("reaches beyond"));
}

#[test]
fn the_tensors_have_to_be_found_under_one_name_each() {
    let twice = refusal(checkpoint(&Pickle::of(&[("a", vector("0", 2)), ("module.a", vector("0", 2))]), &[1.0, 2.0]));
    assert!(twice.starts_with("it has two tensors of the name \"a\""), "{twice}");
    let none = pickle_refusal(Pickle::new().raw(b"}(").text("epoch").int(1).text("model_state").raw(b"}u."));
    let expected =
        "no tensors under \"model_state\", \"state_dict\", \"model\" or the like; its 2 keys are: \"epoch\", \"model_state\"";
    assert_eq!(none, expected);
    assert_eq!(pickle_refusal(Pickle::new().raw(b"].")), "it holds a list rather than a dictionary of tensors");
}

#[test]
fn claims_are_not_believed() {
    for claim in
        [&b"X\xff\xff\xff\xff"[..], b"B\xff\xff\xff\x7f", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f", b"K"]
    {
        assert!(pickle_refusal(Pickle::new().raw(claim)).contains("cut short or damaged"));
    }
    // A memo of four billion places has one.
    let far = Pickle::new().raw(b"}r\xff\xff\xff\xff0j\xff\xff\xff\xff.");
    assert!(pickle_refusal(far).starts_with("no tensors under"));
    assert!(pickle_refusal(Pickle::new().raw(b"j\xff\xff\xff\xff.")).contains("memo's place 4294967295, which it never filled"));
    assert!(pickle_refusal(Pickle::new().raw(b"0.")).contains("not there"));
    assert!(pickle_refusal(Pickle::new().raw(b"}(0.")).contains("not there"));
    assert!(pickle_refusal(Pickle::new().raw(b"t.")).contains("no mark"));
    assert!(pickle_refusal(Pickle::new().raw(b"}(Nu.")).contains("a key that has no value"));
    assert!(pickle_refusal(Pickle::new().raw(b")(NNu.")).contains("would set an item of a tuple"));
    assert!(pickle_refusal(Pickle::new().raw(b"}Na.")).contains("would append to a dictionary"));
    assert!(pickle_refusal(Pickle::new().raw(b"X\x02\0\0\0\xff\xfe.")).contains("not UTF-8"));
    assert!(pickle_refusal(Pickle::new().raw(b"\x80\x09.")).contains("protocol 9"));
}

#[test]
fn nesting_cycles_and_bombs_do_no_harm() {
    let started = Instant::now();
    let deep = Pickle::new().raw(&b"(".repeat(1_000_000));
    assert_eq!(pickle_refusal(deep), "its pickle is nested more than 1000 deep");
    // A tuple in a tuple in a tuple, without marks.
    let tower = Pickle::new().raw(b")").raw(&b"\x85".repeat(900_000)).raw(b".");
    assert_eq!(pickle_refusal(tower), "it holds a tuple rather than a dictionary of tensors");
    assert_eq!(pickle_refusal(Pickle::new().raw(&b"N".repeat(1_000_001))), "its pickle has more than 1000000 values");
    // Each list holds the one before it twice: 2^10000 leaves for whoever followed them.
    let bomb = Pickle::new().raw(b"]").raw(&b"2\x86".repeat(10_000)).raw(b".");
    assert!(pickle_refusal(bomb).starts_with("it holds a tuple"));
    // A dictionary that holds itself under its own name, beside a tensor.
    let cycle = Pickle::new().raw(b"}q\x00").text("state_dict").raw(b"h\x00s").text("t").tensor(&vector("0", 2)).raw(b"s.").0;
    assert_eq!(read_all(checkpoint(&cycle, &[1.0, 2.0])), 1);
    // The same large dictionary under the same name, over and over: each would be searched for tensors.
    let large = (0..20_000).fold(Pickle::new().raw(b"}(").text("model_state").raw(b"q\x01}("), |pickle, _| pickle.raw(b"h\x01N"));
    let over = large.raw(b"uq\x02").raw(&b"h\x01h\x02".repeat(200_000)).raw(b"u.");
    assert!(pickle_refusal(over).starts_with("no tensors under"));
    assert!(started.elapsed() < FOR_EVER, "{:?}", started.elapsed());
}

#[test]
fn archives_have_to_be_those_of_torch_save() {
    let pickle = Pickle::of(&[("t", vector("0", 2))]);
    let numbers = floats(&[1.0, 2.0]);
    let big = archive(&[("m/data.pkl", &pickle), ("m/byteorder", b"big"), ("m/data/0", &numbers)]);
    assert_eq!(refusal(big), "its byte order is \"big\"; only \"little\" is read");
    assert!(refusal(archive(&[("m/data.pkl", &pickle)])).contains("storage \"0\" has no entry"));
    assert!(refusal(archive(&[("m/other", b"")])).contains("without data.pkl"));
    assert!(refusal(archive(&[("m/data.pkl", &pickle), ("n/data.pkl", &pickle)])).contains("2 entries data.pkl"));
    assert_eq!(read_all(archive(&[("data.pkl", &pickle), ("data/0", &numbers)])), 1);
    // The library writes no compressed entries in this build: the method is changed afterwards, in both headers.
    let mut compressed = checkpoint(&pickle, &[1.0, 2.0]);
    for (signature, method) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let at = compressed.windows(4).position(|window| window == signature).expect("a header");
        compressed[at + method] = 8;
    }
    assert!(refusal(compressed).starts_with("its entry \"m/data.pkl\" is compressed"));
    // An entry that claims more bytes than the file has.
    let mut long = checkpoint(&pickle, &[1.0, 2.0]);
    let at = long.windows(4).rposition(|window| window == b"PK\x01\x02").expect("a header");
    long[at + 20..at + 28].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    assert!(refusal(long).contains("reaches beyond the file"));
}

#[test]
fn safetensors_claims_are_not_believed() {
    let file = |header: &str, data: &[u8]| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
    let good = file(r#"{"module.a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]);
    assert_eq!(read_all(good.clone()), 1);
    assert!(refusal(good[..good.len() - 1].to_vec()).contains("its tensors take 8 bytes, it has 7"));
    assert!(refusal(good[..20].to_vec()).contains("cut short"));
    assert!(refusal(file("{]", &[])).contains("damaged header"));
    assert!(refusal(file(&"{\"a\":".repeat(100_000), &[])).contains("damaged header"));
    // Tensors that claim almost all of the address space between them: their sum with the header's length overflows.
    let huge = (u64::MAX / 8 / 8) * 8;
    let tensors: Vec<String> = (0..8)
        .map(|index| {
            let (start, end) = (index * huge, (index + 1) * huge);
            format!(r#""{index}":{{"dtype":"F4","shape":[{}],"data_offsets":[{start},{end}]}}"#, huge * 2)
        })
        .collect();
    let reason = refusal(file(&format!("{{{}}}", tensors.join(",")), &[]));
    assert!(reason.contains("damaged"), "{reason}");
    let both =
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"module.a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    assert!(refusal(file(both, &[0; 2])).contains("two tensors of the name \"a\""));
}

#[test]
fn other_files_are_refused_by_what_they_are() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "an empty file"),
        (b"GIF89a\x01\0\x01\0", "it begins with \"GIF89a"),
        (b"weights of the network, as text\n", "it begins with \"weights of the n\""),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "the form from before PyTorch 1.6"),
        (b"\x80\x02}q\0.", "a bare pickle"),
        (b"PK\x03\x04 and no more", "a zip archive that cannot be read (16 bytes; cut short?)"),
    ];
    let folder = tempfile::tempdir().expect("a place to write");
    for (bytes, expected) in cases {
        assert!(refusal(bytes.to_vec()).contains(expected), "{}", refusal(bytes.to_vec()));
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).expect("writable");
        assert!(Checkpoint::open(&path).expect_err("no checkpoint").to_string().contains(expected));
    }
    let opened = Checkpoint::open(folder.path()).expect_err("a folder").to_string();
    assert!(opened.ends_with(": a folder without weights, such as model.safetensors or pytorch_model.bin"), "{opened}");
    assert!(matches!(Checkpoint::open(&folder.path().join("none")), Err(Error::File { .. })));
}

#[test]
fn files_cut_anywhere_are_refused() {
    let whole = small();
    assert_eq!(read_all(whole.clone()), 2);
    let folder = tempfile::tempdir().expect("a place to write");
    for length in 0..whole.len() {
        // An archive's directory is at its end.
        assert!(parse(whole[..length].to_vec()).is_err(), "{length} bytes");
        let mut file = std::fs::File::create(folder.path().join("cut")).expect("writable");
        file.write_all(&whole[..length]).expect("writable");
        assert!(Checkpoint::open(&folder.path().join("cut")).is_err());
    }
    // A pickle that is cut, in an archive that is whole.
    let mut zip = zip::ZipArchive::new(Cursor::new(&whole)).expect("good");
    let entry = zip.by_name("m/data.pkl").expect("there");
    let start = entry.data_start().expect("known") as usize;
    let pickle = whole[start..start + entry.size() as usize].to_vec();
    for length in 0..pickle.len() {
        refusal(checkpoint(&pickle[..length], &[0.0; 6]));
    }
}

#[test]
fn files_changed_at_random_are_read_or_refused() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut below = |most: usize| (random.next_u64() % most as u64) as usize;
    let (whole, started) = (small(), Instant::now());
    let mut read = 0;
    for _ in 0..5_000 {
        let mut bytes = whole.clone();
        for _ in 0..=below(8) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] ^= 1 << below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, below(256) as u8),
            }
        }
        read += usize::from(read_all(bytes) > 0);
    }
    // Some changes are to numbers, names and unused fields.
    assert!((100..4_900).contains(&read), "{read}");
    assert!(started.elapsed() < FOR_EVER, "{:?}", started.elapsed());
}

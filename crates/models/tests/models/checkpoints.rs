//! Pickles and archives put together by hand, as `torch.save` would, and as it never would.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A pickle in the making, protocol 2.
#[derive(Clone)]
pub struct Pickle(pub Vec<u8>);

/// A tensor as a pickle describes it.
#[derive(Clone, Copy)]
pub struct Stored<'s> {
    pub class: &'s str,
    pub key: &'s str,
    pub count: i32,
    pub offset: i32,
    pub shape: &'s [i32],
    pub strides: &'s [i32],
}

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub fn int(self, number: i32) -> Self {
        self.raw(b"J").raw(&number.to_le_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn ints(self, numbers: &[i32]) -> Self {
        numbers.iter().fold(self.raw(b"("), |pickle, &number| pickle.int(number)).raw(b"t")
    }

    pub fn storage(self, stored: &Stored) -> Self {
        let class = self.raw(b"(").text("storage").global("torch", stored.class);
        class.text(stored.key).text("cpu").int(stored.count).raw(b"tQ")
    }

    pub fn tensor(self, stored: &Stored) -> Self {
        let storage = self.global("torch._utils", "_rebuild_tensor_v2").raw(b"(").storage(stored);
        let sizes = storage.int(stored.offset).ints(stored.shape).ints(stored.strides);
        sizes.raw(b"\x89").global("collections", "OrderedDict").raw(b")RtR")
    }

    /// A dictionary of tensors that ends the pickle.
    pub fn of(tensors: &[(&str, Stored)]) -> Vec<u8> {
        let dict = Self::new().global("collections", "OrderedDict").raw(b")R(");
        tensors.iter().fold(dict, |pickle, (name, stored)| pickle.text(name).tensor(stored)).raw(b"u.").0
    }
}

/// A dense vector of floats in a storage of its own.
pub const fn vector(key: &str, count: i32) -> Stored<'_> {
    Stored { class: "FloatStorage", key, count, offset: 0, shape: &[2], strides: &[1] }
}

pub fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// An archive of these entries, stored as they are.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).expect("a new name");
        zip.write_all(bytes).expect("memory");
    }
    zip.finish().expect("memory").into_inner()
}

/// A checkpoint with one storage `0` of floats.
pub fn checkpoint(pickle: &[u8], numbers: &[f32]) -> Vec<u8> {
    archive(&[("m/data.pkl", pickle), ("m/byteorder", b"little"), ("m/data/0", &floats(numbers))])
}

/// A small checkpoint in which everything occurs: two tensors of one storage, integers, a configuration.
pub fn small() -> Vec<u8> {
    let matrix = Stored { shape: &[2, 2], strides: &[1, 2], offset: 1, ..vector("0", 6) };
    let steps = Stored { class: "LongStorage", shape: &[], strides: &[], ..vector("1", 1) };
    let state = Pickle::new().raw(b"}(").text("epoch").int(7).text("cfg").text("A: 1\n").text("model_state");
    let state = state.global("collections", "OrderedDict").raw(b")R(").text("module.a").tensor(&matrix);
    let pickle = state.text("module.b").tensor(&vector("0", 6)).text("steps").tensor(&steps).raw(b"uu.").0;
    let numbers = floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    archive(&[("m/data.pkl", &pickle), ("m/byteorder", b"little"), ("m/data/0", &numbers), ("m/data/1", &9_i64.to_le_bytes())])
}

//! Files of features: safetensors, or NumPy's arrays.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use npyz::WriterBuilder as _;
use orthoformer::{Error, Result, Tensor, Tensors};
use orthoformer_video::files::stream_whole;
use safetensors::Dtype;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::checkpoint::write::{Outline, write_tensors};

/// What a file of features is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureFormat {
    /// A tensor a clip, and metadata.
    Safetensors,
    /// One array (`numpy.save`).
    Npy,
    /// An array a clip (`numpy.savez`).
    Npz,
}

impl FeatureFormat {
    /// The format that a file's extension names.
    ///
    /// # Errors
    /// [`Error::Argument`] for other extensions.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("npy") => Ok(Self::Npy),
            Some("npz") => Ok(Self::Npz),
            _ => Err(Error::Argument {
                what: "file of features",
                given: path.display().to_string(),
                expected: "a name that ends in .safetensors, .npy (one clip) or .npz".to_owned(),
            }),
        }
    }

    /// Whether a file can hold the features of so many clips.
    ///
    /// # Errors
    /// [`Error::Argument`] for several in one array.
    pub fn check(self, clips: usize) -> Result<()> {
        match self {
            Self::Npy if clips > 1 => Err(Error::Argument {
                what: "file of features",
                given: format!("one array for {clips} clips"),
                expected: ".npz or .safetensors for several".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Writes a tensor a clip: whole, or not at all, and the same bytes each time. Metadata is for safetensors; NumPy's files have none.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Contents`] for names that the format cannot have; those of [`FeatureFormat::check`].
    pub fn write(self, path: &Path, features: &Tensors, metadata: &BTreeMap<String, String>) -> Result<()> {
        self.check(features.len())?;
        let failed = Error::file("write", path);
        match self {
            Self::Safetensors => write_safetensors(path, features, metadata),
            Self::Npy => stream_whole(path, |file| {
                features.values().try_for_each(|tensor| write_array(BufWriter::new(&mut *file), tensor)).map_err(failed)
            }),
            Self::Npz => stream_whole(path, |file| write_archive(BufWriter::new(file), features).map_err(failed)),
        }
    }
}

fn write_safetensors(path: &Path, features: &Tensors, metadata: &BTreeMap<String, String>) -> Result<()> {
    let tensors: Vec<&Tensor> = features.values().collect();
    let outlines = features.iter().map(|(name, tensor)| Outline { name, dtype: Dtype::F32, shape: tensor.shape() });
    let outlines: Vec<Outline<'_>> = outlines.collect();
    let bytes_of = |index: usize| Ok(Cow::Borrowed(bytemuck::cast_slice(tensors[index].data())));
    write_tensors(path, path, metadata, &outlines, bytes_of).map(drop)
}

fn write_array(file: impl Write, tensor: &Tensor) -> std::io::Result<()> {
    let shape: Vec<u64> = tensor.shape().iter().map(|&size| size as u64).collect();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
    writer.extend(tensor.data().iter().copied())?;
    writer.finish()
}

fn write_archive(file: impl Write + Seek, features: &Tensors) -> std::io::Result<()> {
    let mut archive = ZipWriter::new(file);
    for (name, tensor) in features {
        let is_large = tensor.data().len() >= 1 << 29;
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(is_large);
        archive.start_file(npyz::npz::file_name_from_array_name(name), options)?;
        write_array(&mut archive, tensor)?;
    }
    archive.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Tensors {
        let of = |shape: &[usize], first: f32| {
            let count = shape.iter().product::<usize>();
            Tensor::new(shape.to_vec(), (0..count).map(|index| first + index as f32).collect()).expect("a tensor")
        };
        Tensors::from([("a.mp4".to_owned(), of(&[2, 3], 0.5)), ("b.mp4".to_owned(), of(&[1, 4], -2.0))])
    }

    fn read(bytes: &[u8]) -> Tensor {
        let file = npyz::NpyFile::new(bytes).expect("an array");
        let shape = file.shape().iter().map(|&size| size as usize).collect();
        Tensor::new(shape, file.into_vec().expect("floats")).expect("a tensor")
    }

    #[test]
    fn arrays_are_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, all) = (folder.path().join("one.npy"), folder.path().join("all.npz"));
        let mut single = features();
        single.remove("b.mp4");
        FeatureFormat::of(&one).and_then(|format| format.write(&one, &single, &BTreeMap::new())).expect("writes");
        assert_eq!(read(&std::fs::read(&one).expect("reads")), single["a.mp4"]);
        FeatureFormat::of(&all).and_then(|format| format.write(&all, &features(), &BTreeMap::new())).expect("writes");
        let mut archive = zip::ZipArchive::new(std::fs::File::open(&all).expect("opens")).expect("an archive");
        for (name, expected) in features() {
            let mut bytes = Vec::new();
            let mut entry = archive.by_name(&format!("{name}.npy")).expect("an entry");
            std::io::copy(&mut entry, &mut bytes).expect("reads");
            assert_eq!(read(&bytes), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for name in ["f", "f.pth", "f.npy.gz", ".npy"] {
            assert!(FeatureFormat::of(Path::new(name)).is_err(), "{name}");
        }
        assert_eq!(FeatureFormat::of(Path::new("F.NPZ")).expect("known"), FeatureFormat::Npz);
        let error = FeatureFormat::Npy.write(Path::new("f.npy"), &features(), &BTreeMap::new()).expect_err("two");
        assert!(error.to_string().contains("one array for 2 clips"), "{error}");
    }
}

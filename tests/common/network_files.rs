//! Small networks with answers from elsewhere, in `tests/networks`.

use std::path::Path;

use orthoformer::{Tensor, Tensors};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// The float32 tensors of a file; whatever else is there is not for plans.
pub fn tensors(file: &str) -> Tensors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/networks").join(file);
    let bytes = std::fs::read(&path).expect("shipped");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let floats = file.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    floats
        .map(|(name, view)| {
            let data = bytemuck::pod_collect_to_vec::<u8, f32>(view.data());
            (name, Tensor::new(view.shape().to_vec(), data).expect("the file's own shape"))
        })
        .collect()
}

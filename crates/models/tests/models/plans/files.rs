//! Answers from elsewhere, beside the small networks that ship inside the program and of their edges.

use orthoformer::{Tensor, Tensors};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// The float32 tensors of a file; whatever else is there is not for plans.
pub fn tensors(file: &str) -> Tensors {
    let bytes = std::fs::read(support::shipped(file)).expect("shipped");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let floats = file.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    floats
        .map(|(name, view)| {
            let data = bytemuck::pod_collect_to_vec::<u8, f32>(view.data());
            (name, Tensor::new(view.shape().to_vec(), data).expect("the file's own shape"))
        })
        .collect()
}

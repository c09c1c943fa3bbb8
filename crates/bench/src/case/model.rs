//! Cases of whole networks: the metadata names a checkpoint that lies beside the case.

use std::collections::HashMap;
use std::path::Path;

use orthoformer::tensor::missing;
use orthoformer::{Error, Result, Tensor, Tensors};
use orthoformer_models::networks::CHANNELS;
use orthoformer_models::{Config, NetworkOutputs, NetworkSpec, Overrides, Protocol, weights};
use safetensors::tensor::{Dtype, SafeTensors};

use super::{Beside, Operation};

/// A case's network, with its weights among the inputs, and what is expected with the batch as its first axis.
pub(super) fn operation(
    values: &HashMap<String, String>,
    file: &SafeTensors,
    (inputs, expected): (&mut Tensors, &mut Tensors),
    beside: Beside,
) -> Result<Operation> {
    let name = values.get("checkpoint").ok_or_else(|| wrong("missing".to_owned()))?;
    if Path::new(name).file_name().is_none_or(|file| file != name.as_str()) {
        return Err(wrong(format!("{name:?}")));
    }
    let checkpoint = beside(name)?;
    let config = Config::of(&checkpoint, &Overrides::default())?;
    let batch = match file.tensor("video") {
        Ok(view) => {
            let (clips, has_batch) = clips(&config.protocol, view.dtype(), view.shape(), view.data())?;
            let batch = clips.shape()[0];
            inputs.insert("clip".to_owned(), clips);
            if !has_batch {
                for tensor in expected.values_mut() {
                    let shape = [&[1], tensor.shape()].concat();
                    *tensor = Tensor::new(shape, std::mem::replace(tensor, Tensor::new(vec![0], Vec::new())?).into_data())?;
                }
            }
            batch
        }
        Err(_) => inputs.get("clip").and_then(|clip| clip.shape().first().copied()).ok_or_else(|| missing("video", inputs))?,
    };
    inputs.extend(weights(&checkpoint, &config)?);
    let batch = orthoformer::shape::fits_u32("clips", batch as u64)?;
    let outputs = NetworkOutputs::LOGITS;
    Ok(Operation::Network(NetworkSpec { batch, network: config.network, outputs }))
}

fn wrong(found: String) -> Error {
    Error::Metadata { key: "checkpoint", found, expected: "the name of a file beside the case".to_owned() }
}

/// `video [T,H,W,3]` or `[B,T,H,W,3]` of bytes as `[B,3,T,H,W]`, normalised; and whether it has a batch.
fn clips(protocol: &Protocol, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Result<(Tensor, bool)> {
    if dtype != Dtype::U8 {
        return Err(Error::WrongType { name: "video".to_owned(), found: format!("{dtype:?}"), expected: "U8" });
    }
    let channels = CHANNELS as usize;
    let (batch, [frames, height, width]) = match *shape {
        [frames, height, width, 3] => (None, [frames, height, width]),
        [batch, frames, height, width, 3] => (Some(batch), [frames, height, width]),
        _ => {
            let expected = "[frames, height, width, 3], or a batch of those".to_owned();
            return Err(Error::WrongShape { name: "video".to_owned(), found: shape.to_vec(), expected });
        }
    };
    // Bytes there are; those of a clip without any are nobody's business.
    let plane = bytes.len() / channels / batch.unwrap_or(1).max(1);
    let mut numbers = vec![0.0; bytes.len()];
    for (clip, numbers) in bytes.chunks(channels * plane.max(1)).zip(numbers.chunks_mut(channels * plane.max(1))) {
        for (pixel, colours) in clip.chunks(channels).enumerate() {
            for (channel, &value) in colours.iter().enumerate() {
                // In the order that the network takes: a case is what it sees, not what a decoder makes.
                numbers[channel * plane + pixel] = (f32::from(value) / 255.0 - protocol.mean[channel]) / protocol.std[channel];
            }
        }
    }
    Ok((Tensor::new(vec![batch.unwrap_or(1), channels, frames, height, width], numbers)?, batch.is_some()))
}

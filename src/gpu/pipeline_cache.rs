//! A driver's compiled shaders, kept between runs if wgpu supports it (`PIPELINE_CACHE`, on Vulkan).

use std::path::Path;

use wgpu::{Adapter, Device, Features, PipelineCache, PipelineCacheDescriptor};

/// A driver's cache is some megabytes; a much larger file is something else.
const MOST_BYTES: u64 = 256 << 20;

/// The name of an adapter's file; `None` where pipelines cannot be kept.
pub(super) fn file_name(adapter: &Adapter) -> Option<String> {
    wgpu::util::pipeline_cache_key(&adapter.get_info())
}

/// A cache with the folder's file, if that is valid; else an empty one. `None` if the device has no cache.
pub(super) fn open(device: &Device, adapter: &Adapter, folder: Option<&Path>) -> Option<PipelineCache> {
    if !device.features().contains(Features::PIPELINE_CACHE) {
        return None;
    }
    let path = folder?.join(file_name(adapter)?);
    let is_plausible = std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MOST_BYTES);
    let data = if is_plausible { std::fs::read(&path).ok() } else { None };
    let descriptor = PipelineCacheDescriptor { label: Some("orthoformer"), data: data.as_deref(), fallback: true };
    // SAFETY: files of this name are what `Engine::kept_pipelines` gave out, written whole or not at all. wgpu and the driver check their headers,
    // which name device and driver, and start anew if those are others. Who names a folder vouches for what is in it.
    Some(unsafe { device.create_pipeline_cache(&descriptor) })
}

//! The library inside an application of egui, on egui's own device: a clip plays, a click chooses a point, and a heat map shows where the point is.
//!
//! ```text
//! cargo run --release --manifest-path examples/embed_egui/Cargo.toml      in a window
//! ```
//!
//! The same code runs in a browser: README.md beside this file says how.

mod app;
mod player;

use std::sync::Arc;

use eframe::egui_wgpu::{WgpuConfiguration, WgpuSetup, WgpuSetupCreateNew};
use orthoformer::wgpu;

/// What egui opens its device with: its own limits, what kernels need, and what makes them faster or tells their times.
fn configuration() -> WgpuConfiguration {
    let device_descriptor = |adapter: &wgpu::Adapter| {
        let wished = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16;
        wgpu::DeviceDescriptor {
            label: Some("embed_egui"),
            required_features: orthoformer::required_features(adapter) | (adapter.features() & wished),
            required_limits: wgpu::Limits::defaults().or_better_values_from(&orthoformer::required_limits()),
            ..Default::default()
        }
    };
    let setup = WgpuSetupCreateNew::without_display_handle();
    let setup = WgpuSetupCreateNew { device_descriptor: Arc::new(device_descriptor), ..setup };
    WgpuConfiguration { wgpu_setup: WgpuSetup::CreateNew(setup), ..Default::default() }
}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> eframe::Result {
    let viewport = eframe::egui::ViewportBuilder::default().with_inner_size(app::WINDOW);
    let options = eframe::NativeOptions { wgpu_options: configuration(), viewport, ..Default::default() };
    eframe::run_native("A point followed", options, Box::new(|context| Ok(Box::new(app::App::new(context)?))))
}

#[cfg(target_arch = "wasm32")]
fn main() {
    use wasm_bindgen::JsCast;
    let canvas = web_sys::window().and_then(|window| window.document()?.get_element_by_id("canvas"));
    let Some(Ok(canvas)) = canvas.map(JsCast::dyn_into) else { return };
    wasm_bindgen_futures::spawn_local(async move {
        let options = eframe::WebOptions { wgpu_options: configuration(), ..Default::default() };
        let start =
            eframe::WebRunner::new().start(canvas, options, Box::new(|context| Ok(Box::new(app::App::new(context)?)))).await;
        if let Err(error) = start {
            web_sys::console::error_1(&error);
        }
    });
}

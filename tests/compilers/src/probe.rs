//! Opens the adapter, compiles, and writes what comes of it.

use std::path::PathBuf;

use orthoformer::gpu::{self, Engine};
use orthoformer::plan::Element;
use orthoformer::variant::Need;
use orthoformer::wgsl;
use serde_json::{Value, json};

use crate::capture::{self, Compiled};
use crate::loops::multiply_add_share;
use crate::plans;
use crate::shaders::{Key, Shaders, add_chosen, add_examples};

/// Compiles everything; with `--chosen` only what the engine chooses. With `--dump FOLDER`, the compilers' texts go there.
///
/// # Errors
/// Why there is no such adapter, for people. A shader that does not compile has its error in its line.
pub fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dump = arguments.iter().position(|argument| argument == "--dump").and_then(|at| arguments.get(at + 1)).map(PathBuf::from);
    let opened = Opened::new()?;
    let mut shaders = Shaders::new();
    let has = opened.has();
    if !arguments.iter().any(|argument| argument == "--chosen") {
        add_examples(&mut shaders, &has);
    }
    for element in Element::ALL.into_iter().filter(|element| *element == Element::F32 || has.contains(&Need::Half)) {
        for (name, plan) in plans::all().map_err(|error| format!("plans: {error}"))? {
            add_chosen(&mut shaders, &opened.engine, &name, &plan.stored_as(element));
        }
    }
    println!("{}", json!({ "adapter": opened.engine.adapter().to_string(), "driver": opened.engine.adapter().driver }));
    for (key, names) in &shaders {
        let (stem, element) = (key.parts().stem, key.stored());
        let constants: Vec<String> = key.constants.iter().map(u32::to_string).collect();
        let constants = constants.join(" ");
        let said = match opened.compile(key) {
            Ok(compiled) => {
                if let Some(folder) = &dump {
                    let name = format!("{stem}-{element}-{constants}").replace([' ', '/'], "-");
                    write(folder, &name, &compiled)?;
                }
                said(&compiled)
            }
            Err(error) => json!({ "error": error }),
        };
        println!("{}", json!({ "shader": stem, "element": element, "constants": constants, "chosen": names, "said": said }));
    }
    Ok(())
}

/// Writes the compilers' texts of a shader to a folder.
fn write(folder: &std::path::Path, name: &str, compiled: &Compiled) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let texts: String = compiled.representations.iter().map(|(name, text)| format!("==== {name}\n{text}\n")).collect();
    let statistics: String = compiled.statistics.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let path = folder.join(format!("{name}.txt"));
    std::fs::write(&path, format!("{statistics}{texts}")).map_err(|error| format!("{}: {error}", path.display()))
}

/// Statistics by their names, and the share of multiply-adds in the hottest loop of the code, which comes last.
fn said(compiled: &Compiled) -> Value {
    let statistics: serde_json::Map<String, Value> =
        compiled.statistics.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let code = compiled.representations.last().map_or("", |(_, text)| text.as_str());
    json!({ "statistics": statistics, "share": multiply_add_share(code) })
}

/// An adapter, opened as an engine opens it.
struct Opened {
    device: wgpu::Device,
    engine: Engine,
}

impl Opened {
    fn new() -> Result<Self, String> {
        let instance = capture::instance()?;
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        let adapter = adapters.into_iter().next().ok_or("the driver shows no adapter")?;
        let wanted = gpu::optional_features().iter().fold(wgpu::Features::empty(), |all, optional| all | optional.features);
        let features = (adapter.features() & wanted) - wgpu::Features::PIPELINE_CACHE;
        let descriptor = wgpu::DeviceDescriptor {
            required_features: features,
            // SAFETY: nothing runs on this device.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|error| error.to_string())?;
        let engine = Engine::from_device(&device, &queue).map_err(|error| error.to_string())?.with_matrix_units_of(&adapter);
        Ok(Self { device, engine })
    }

    /// What shaders may use.
    fn has(&self) -> Vec<Need> {
        let features = self.device.features();
        let has = [
            (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, Need::Matrices),
            (wgpu::Features::SUBGROUP, Need::Subgroups),
            (wgpu::Features::SHADER_F16, Need::Half),
        ];
        has.into_iter().filter(|(feature, _)| features.contains(*feature)).map(|(_, need)| need).collect()
    }

    /// Compiles a shader as the engine does.
    fn compile(&self, key: &Key) -> Result<Compiled, String> {
        let parts = key.parts();
        let assembled = wgsl::assemble(&parts, &key.constants, &key.elements).map_err(|error| error.to_string())?;
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(parts.stem),
            source: wgpu::ShaderSource::Wgsl(assembled.source.as_str().into()),
        };
        let module = match key.is_trusted() {
            // SAFETY: nothing runs on this device.
            true => unsafe { self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) },
            false => self.device.create_shader_module(descriptor),
        };
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(parts.stem),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let error = pollster::block_on(scope.pop());
        drop(pipeline);
        match (error, capture::latest()) {
            (Some(error), _) => Err(error.to_string()),
            (None, None) => Err("the driver kept nothing".to_owned()),
            (None, Some(compiled)) => Ok(compiled),
        }
    }
}

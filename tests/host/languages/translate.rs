//! Shaders in other languages, with the options that wgpu 30 translates with (the device modules of wgpu-hal's backends).

use naga::back::spv::Capability;
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo};
use naga::{Module, ResourceBinding, ShaderStage};
use orthoformer::variant::{Language, Need};

use crate::shaders::Shader;

/// Binding of the first workgroup's number.
const SLICE_BINDING: u32 = 8;

/// A shader in another language.
pub struct Text {
    /// The shader, the language's version, and whether checks were left out.
    pub name: String,
    /// Major and minor version of the language.
    pub version: (u8, u8),
    pub bytes: Vec<u8>,
}

/// The oldest version in which wgpu offers all of these needs. Vulkan devices take SPIR-V by their own version, and have subgroups from 1.1
/// on; Metal has subgroup reductions from 2.1 on and matrices from 2.3 on; Direct3D subgroups from shader model 6.0 on and 16-bit floats from
/// 6.2 on; OpenGL has compute shaders from 4.3 on, in ES from 3.1 on.
pub fn oldest(language: Language, needs: &[Need]) -> (u8, u8) {
    let has = |need| needs.contains(&need);
    match language {
        Language::Spirv if has(Need::Subgroups) => (1, 3),
        Language::Msl if has(Need::Matrices) => (2, 3),
        Language::Msl if has(Need::Subgroups) => (2, 1),
        Language::Hlsl if has(Need::Half) => (6, 2),
        Language::Hlsl if has(Need::Subgroups) => (6, 0),
        Language::Hlsl => (5, 1),
        Language::Glsl => (4, 30),
        Language::Spirv | Language::Msl | Language::Wgsl => (1, 0),
    }
}

/// The newest version that wgpu translates to.
fn newest(language: Language) -> (u8, u8) {
    match language {
        Language::Spirv => (1, 6),
        Language::Msl => (4, 0),
        Language::Hlsl => (6, 9),
        Language::Glsl => (4, 50),
        Language::Wgsl => (1, 0),
    }
}

/// What naga says that it can write in a language.
pub fn writable(language: Language) -> Capabilities {
    match language {
        Language::Spirv => spv::supported_capabilities(),
        Language::Msl => msl::supported_capabilities(),
        Language::Hlsl => hlsl::supported_capabilities(),
        Language::Glsl => glsl::supported_capabilities(),
        Language::Wgsl => Capabilities::all(),
    }
}

/// The shader in the oldest version that will do, with all checks, and in the newest, without those that the engine has left out. For OpenGL
/// in ES too. WGSL is taken as it is.
///
/// # Errors
/// What naga says.
pub fn translate(shader: &Shader, module: &Module, info: &ModuleInfo, language: Language) -> Result<Vec<Text>, String> {
    let trusted = shader.row.accesses_in_range;
    let dialects = match language {
        Language::Glsl => vec![((3, 10), false, true), ((4, 30), false, false), ((4, 50), false, false)],
        Language::Wgsl => Vec::new(),
        _ => vec![(oldest(language, &shader.needs()), false, false), (newest(language), trusted, false)],
    };
    let text = |(version, unchecked, embedded): ((u8, u8), bool, bool)| {
        let bytes = match language {
            Language::Spirv => spirv(shader, module, info, version, unchecked)?,
            Language::Msl => metal(shader, module, info, version, unchecked)?.into_bytes(),
            Language::Hlsl => direct3d(shader, module, info, version, unchecked)?.into_bytes(),
            Language::Glsl | Language::Wgsl => opengl(shader, module, info, version, embedded)?.into_bytes(),
        };
        let (major, minor) = version;
        let checks = if unchecked { ", unchecked" } else { "" };
        let name = format!("{} {:?} in {} {major}.{minor}{checks}", shader.name(), shader.constants, language.name());
        Ok(Text { name, version, bytes })
    };
    dialects.into_iter().map(text).collect()
}

fn policies(unchecked: bool) -> BoundsCheckPolicies {
    let policy = if unchecked { BoundsCheckPolicy::Unchecked } else { BoundsCheckPolicy::Restrict };
    BoundsCheckPolicies { index: policy, buffer: policy, image_load: policy, binding_array: BoundsCheckPolicy::Unchecked }
}

/// All bindings in the order of the layout, and whether each is a uniform and whether it is written.
fn bindings(shader: &Shader) -> Vec<(ResourceBinding, bool, bool)> {
    let at = |binding| ResourceBinding { group: 0, binding };
    let storage = (1..).zip(shader.row.bindings).map(|(number, row)| (at(number), false, row.written));
    std::iter::once((at(0), true, false)).chain(storage).chain([(at(SLICE_BINDING), true, false)]).collect()
}

fn spirv(shader: &Shader, module: &Module, info: &ModuleInfo, version: (u8, u8), unchecked: bool) -> Result<Vec<u8>, String> {
    let mut allowed = vec![Capability::Shader, Capability::Matrix];
    for need in shader.needs() {
        allowed.extend(match need {
            Need::Matrices => vec![Capability::CooperativeMatrixKHR, Capability::VulkanMemoryModel],
            Need::Subgroups => vec![
                Capability::GroupNonUniform,
                Capability::GroupNonUniformVote,
                Capability::GroupNonUniformArithmetic,
                Capability::GroupNonUniformBallot,
                Capability::GroupNonUniformShuffle,
                Capability::GroupNonUniformShuffleRelative,
                Capability::GroupNonUniformQuad,
            ],
            // Storage in 16 bits, naga takes without asking.
            Need::Half => vec![Capability::Float16],
        });
    }
    // Bindings are numbered without gaps.
    let numbered = (0..)
        .zip(bindings(shader))
        .map(|(binding, (place, ..))| (place, spv::BindingInfo { descriptor_set: 0, binding, binding_array_size: None }));
    let options = spv::Options {
        lang_version: version,
        flags: spv::WriterFlags::empty(),
        fake_missing_bindings: false,
        binding_map: numbered.collect(),
        capabilities: Some(allowed.into_iter().collect()),
        bounds_check_policies: policies(unchecked),
        zero_initialize_workgroup_memory: match unchecked {
            true => spv::ZeroInitializeWorkgroupMemoryMode::Native,
            false => spv::ZeroInitializeWorkgroupMemoryMode::Polyfill,
        },
        force_loop_bounding: !unchecked,
        emit_int_div_checks: !unchecked,
        ..spv::Options::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
    let words = spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|error| error.to_string())?;
    Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
}

fn metal(shader: &Shader, module: &Module, info: &ModuleInfo, version: (u8, u8), unchecked: bool) -> Result<String, String> {
    let bindings = bindings(shader);
    let sizes_buffer = Some(bindings.len() as u8);
    let slots = (0..).zip(bindings);
    let target = |(slot, (place, _, written)): (u8, (ResourceBinding, bool, bool))| {
        (place, msl::BindTarget { buffer: Some(slot), mutable: written, ..msl::BindTarget::default() })
    };
    let resources = slots.map(target).collect();
    let entry = msl::EntryPointResources { resources, sizes_buffer, ..msl::EntryPointResources::default() };
    let options = msl::Options {
        lang_version: version,
        per_entry_point_map: msl::EntryPointResourceMap::from([("main".to_owned(), entry)]),
        fake_missing_bindings: false,
        bounds_check_policies: policies(unchecked),
        force_loop_bounding: !unchecked,
        emit_int_div_checks: !unchecked,
        ..msl::Options::default()
    };
    let pipeline = msl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, "main".to_owned())),
        vertex_pulling_transform: true,
        ..msl::PipelineOptions::default()
    };
    let (text, translated) = msl::write_string(module, info, &options, &pipeline).map_err(|error| error.to_string())?;
    let names: Result<Vec<String>, _> = translated.entry_point_names.into_iter().collect();
    match names.map_err(|error| error.to_string())?.as_slice() {
        [name] if text.contains(&format!("kernel void {name}(")) => Ok(text),
        names => Err(format!("entry points {names:?}")),
    }
}

fn direct3d(shader: &Shader, module: &Module, info: &ModuleInfo, version: (u8, u8), unchecked: bool) -> Result<String, String> {
    let shader_model = match version {
        (5, 1) => hlsl::ShaderModel::V5_1,
        (6, 0) => hlsl::ShaderModel::V6_0,
        (6, 2) => hlsl::ShaderModel::V6_2,
        (6, 9) => hlsl::ShaderModel::V6_9,
        other => return Err(format!("shader model {other:?} is not among those tested")),
    };
    // Registers are counted for uniforms, for what is read and for what is written apart.
    let mut registers = [0, 0, 0];
    let targets = bindings(shader).into_iter().map(|(place, uniform, written)| {
        let counter = &mut registers[if uniform { 0 } else { 1 + usize::from(written) }];
        *counter += 1;
        (place, hlsl::BindTarget { register: *counter - 1, ..hlsl::BindTarget::default() })
    });
    let binding_map = targets.collect();
    let options = hlsl::Options {
        shader_model,
        binding_map,
        fake_missing_bindings: false,
        // Where the numbers of workgroups come from.
        special_constants_binding: Some(hlsl::BindTarget { register: registers[0], ..hlsl::BindTarget::default() }),
        restrict_indexing: !unchecked,
        force_loop_bounding: !unchecked,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".to_owned())) };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None).map_err(|error| error.to_string())?;
    expect(text, &format!("[numthreads({}, 1, 1)]", shader.workgroup))
}

fn opengl(shader: &Shader, module: &Module, info: &ModuleInfo, version: (u8, u8), embedded: bool) -> Result<String, String> {
    let number = u16::from(version.0) * 100 + u16::from(version.1);
    // Slots are counted for uniforms and for storage apart.
    let mut slots = [0, 0];
    let binding_map = bindings(shader).into_iter().map(|(place, uniform, _)| {
        let counter = &mut slots[usize::from(!uniform)];
        *counter += 1;
        (place, *counter - 1)
    });
    let options = glsl::Options {
        version: if embedded { glsl::Version::new_gles(number) } else { glsl::Version::Desktop(number) },
        writer_flags: glsl::WriterFlags::ADJUST_COORDINATE_SPACE | glsl::WriterFlags::FORCE_POINT_SIZE,
        binding_map: binding_map.collect(),
        zero_initialize_workgroup_memory: true,
    };
    let pipeline = glsl::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned(), multiview: None };
    let mut text = String::new();
    let writer = glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies(true));
    writer.and_then(|mut writer| writer.write()).map_err(|error| error.to_string())?;
    expect(text, &format!("local_size_x = {}, local_size_y = 1, local_size_z = 1", shader.workgroup))
}

fn expect(text: String, part: &str) -> Result<String, String> {
    if text.contains(part) { Ok(text) } else { Err(format!("no {part} in the text")) }
}

//! The texts of the ceilings' shaders: what varies goes before the files.

use orthoformer::gpu::MatrixUnit;

/// Turns of the loop of multiply-adds, four a turn: sums stay below 2,048, which 16-bit floats hold.
pub const MULTIPLY_ADD_TURNS: u32 = 500;
pub const MATRIX_TURNS: u32 = 1_024;

const MULTIPLY_ADD: &str = include_str!("../ceilings/multiply_add.wgsl");
const COOPERATIVE_MATRIX: &str = include_str!("../ceilings/cooperative_matrix.wgsl");
const MEMORY_READ: &str = include_str!("../ceilings/memory_read.wgsl");
pub const MEMORY_WRITE: &str = include_str!("../ceilings/memory_write.wgsl");
pub const MEMORY_COPY: &str = include_str!("../ceilings/memory_copy.wgsl");
pub const WORKGROUP_LOAD: &str = include_str!("../ceilings/workgroup_load.wgsl");
pub const GLOBAL_ATOMIC: &str = include_str!("../ceilings/global_atomic.wgsl");
pub const WORKGROUP_ATOMIC: &str = include_str!("../ceilings/workgroup_atomic.wgsl");
pub const WORKGROUP_BARRIER: &str = include_str!("../ceilings/workgroup_barrier.wgsl");
pub const SUBGROUP_ADD: &str = include_str!("../ceilings/subgroup_add.wgsl");
pub const TOUCH: &str = include_str!("../ceilings/touch.wgsl");
pub const EMPTY: &str = include_str!("../ceilings/empty.wgsl");

/// The ways to write a multiply-add of a scalar type (`f32`, `f16`, `i32`), with their widths: vectors for machines that like them, scalars for
/// those that run out of registers, fused or not as the compiler likes.
pub fn multiply_adds(scalar: &str, turns: u32) -> Vec<(u32, String)> {
    let enable = if scalar == "f16" { "enable f16;\n" } else { "" };
    let ways: &[&str] = if scalar == "i32" { &["x * factor + term"] } else { &["x * factor + term", "fma(x, factor, term)"] };
    let prelude = |width: u32, way: &str| {
        let (number, total) = vector(width, scalar);
        let text = format!(
            "{enable}alias Number = {number};\nconst TURNS: u32 = {turns}u;\n\
             fn splat(x: f32) -> Number {{ return Number({scalar}(x)); }}\n\
             fn total(n: Number) -> f32 {{ return {total}; }}\n\
             fn multiply_add(x: Number, factor: Number, term: Number) -> Number {{ return {way}; }}\n{MULTIPLY_ADD}"
        );
        (width, text)
    };
    [1, 2, 4].into_iter().flat_map(|width| ways.iter().map(move |way| prelude(width, way))).collect()
}

/// A type of so many scalars, and an expression for the sum of `n`.
fn vector(width: u32, scalar: &str) -> (String, String) {
    if width == 1 {
        return (scalar.to_owned(), "f32(n)".to_owned());
    }
    (format!("vec{width}<{scalar}>"), format!("dot(vec{width}<f32>(n), vec{width}<f32>(1.0))"))
}

/// The shader that reads vectors of so many floats.
pub fn memory_read(width: u32, turns: u32) -> String {
    let (vector, total) = vector(width, "f32");
    with_turns(&format!("alias Vector = {vector};\nfn total(n: Vector) -> f32 {{ return {total}; }}\n{MEMORY_READ}"), turns)
}

/// The shader for a matrix unit.
pub fn cooperative_matrix(unit: &MatrixUnit) -> String {
    let MatrixUnit { side, inputs, sums, subgroup } = unit;
    let enable = if [*inputs, *sums].contains(&"f16") { "enable f16;\n" } else { "" };
    let matrix = |scalar: &str, role: &str| format!("coop_mat{side}x{side}<{scalar}, {role}>");
    format!(
        "{enable}enable wgpu_cooperative_matrix;\nalias Input = {inputs};\nalias Sum = {sums};\nalias Left = {};\nalias Right = {};\n\
         alias Result = {};\nconst SIDE: u32 = {side}u;\nconst SUBGROUP: u32 = {subgroup}u;\nconst TURNS: u32 = {MATRIX_TURNS}u;\n\
         {COOPERATIVE_MATRIX}",
        matrix(inputs, "A"),
        matrix(inputs, "B"),
        matrix(sums, "C"),
    )
}

/// A shader with the turns of its loop.
pub fn with_turns(body: &str, turns: u32) -> String {
    format!("const TURNS: u32 = {turns}u;\n{body}")
}

#[cfg(test)]
mod tests {
    use naga::back::{hlsl, msl, spv};
    use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
    use naga::{Module, ShaderStage};

    use super::*;

    fn validated(source: &str, capabilities: Capabilities) -> (Module, ModuleInfo) {
        let module = naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
        let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
        let info = info.unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
        (module, info)
    }

    fn spirv(source: &str, capabilities: Capabilities) -> Vec<u32> {
        let (module, info) = validated(source, capabilities);
        let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
        let options = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
        spv::write_vec(&module, &info, &options, Some(&pipeline)).unwrap_or_else(|error| panic!("{error}: {source}"))
    }

    #[test]
    fn every_shader_translates() {
        let bodies = [MEMORY_WRITE, MEMORY_COPY, WORKGROUP_LOAD, GLOBAL_ATOMIC, WORKGROUP_ATOMIC, WORKGROUP_BARRIER];
        let plain = bodies.map(|body| with_turns(body, 7)).into_iter().chain([1, 2, 4].map(|width| memory_read(width, 7)));
        let arithmetic = ["f32", "i32"].into_iter().flat_map(|scalar| multiply_adds(scalar, 7)).map(|(_, source)| source);
        let all = plain.chain([EMPTY, TOUCH].map(str::to_owned)).chain(arithmetic);
        for source in all {
            assert!(!spirv(&source, Capabilities::empty()).is_empty());
            let (module, info) = validated(&source, Capabilities::empty());
            let pipeline = msl::PipelineOptions::default();
            msl::write_string(
                &module,
                &info,
                &msl::Options { fake_missing_bindings: true, ..msl::Options::default() },
                &pipeline,
            )
            .expect("Metal takes it");
            let (mut text, pipeline) = (String::new(), hlsl::PipelineOptions::default());
            let options = hlsl::Options { fake_missing_bindings: true, ..hlsl::Options::default() };
            hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).expect("Direct3D takes it");
        }
        assert!(!spirv(&with_turns(SUBGROUP_ADD, 7), Capabilities::SUBGROUP).is_empty());
        for (_, source) in multiply_adds("f16", 7) {
            assert!(!spirv(&source, Capabilities::SHADER_FLOAT16).is_empty());
        }
    }

    #[test]
    fn matrix_units_translate() {
        for (side, inputs, sums) in
            [(8, "f32", "f32"), (16, "f16", "f16"), (16, "f16", "f32"), (8, "f16", "f16"), (8, "f16", "f32")]
        {
            let source = cooperative_matrix(&MatrixUnit { side, inputs, sums, subgroup: 32 });
            let words = spirv(&source, Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16);
            // OpCooperativeMatrixMulAddKHR is instruction 4459.
            assert_eq!(
                words.iter().filter(|word| *word & 0xffff == 4459 && *word >> 16 >= 6).count(),
                4,
                "{side} {inputs} {sums}"
            );
        }
    }
}

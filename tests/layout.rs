//! Shaders, kernel table and reference are the same thing three times; these tests hold them together.

use std::collections::BTreeSet;
use std::path::Path;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, StorageAccess, TypeInner};
use orthoformer::kernel::{Kernel, KernelRow};
use orthoformer::params::Field;
use orthoformer::wgsl;

/// Constants to assemble a kernel with: the largest that its params can ask for, and the smallest.
fn constants(kernel: Kernel) -> Vec<Vec<u32>> {
    match kernel {
        Kernel::Attend => vec![vec![1, 1, 16], vec![16, 16, 16], vec![32, 32, 8], vec![1, 32, 16]],
        Kernel::AttendWeights => vec![vec![4, 16], vec![32, 16]],
        Kernel::FeatureAttend => vec![vec![4], vec![32]],
        _ => vec![vec![]],
    }
}

fn module(row: &KernelRow, constants: &[u32]) -> (Module, ModuleInfo) {
    let assembled = wgsl::assemble(&row.parts(), constants).expect("the row's own libraries");
    let module = naga::front::wgsl::parse_str(&assembled.source).unwrap_or_else(|error| {
        let place = error.location(&assembled.source).map(|location| assembled.place(location.line_number as usize));
        panic!("{}: {error}", place.unwrap_or_default())
    });
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{}: {error:?}", row.stem));
    (module, info)
}

fn each_variant(mut check: impl FnMut(&KernelRow, &Module, &ModuleInfo)) {
    for kernel in Kernel::ALL {
        for constants in constants(kernel) {
            let (module, info) = module(kernel.row(), &constants);
            check(kernel.row(), &module, &info);
        }
    }
}

#[test]
fn every_shader_has_a_row_and_a_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stems = |folder: &str, extension: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root.join(folder)).expect("the folder is there");
        let files = entries.map(|entry| entry.expect("readable").path());
        let files = files.filter(|path| path.extension().is_some_and(|found| found == extension));
        files.map(|path| path.file_stem().expect("has one").to_string_lossy().into_owned()).collect()
    };
    let rows: BTreeSet<String> = Kernel::ALL.iter().map(|kernel| kernel.row().stem.to_owned()).collect();
    let mut references = stems("src/reference", "rs");
    references.remove("mod");
    assert_eq!(stems("shaders", "wgsl"), rows);
    assert_eq!(references, rows);
    for kernel in Kernel::ALL {
        assert_eq!(kernel.row().kernel, kernel);
    }
}

#[test]
fn params_have_the_same_fields_at_the_same_offsets() {
    each_variant(|row, module, _| {
        let uniform = module.global_variables.iter().find(|(_, variable)| {
            variable.space == AddressSpace::Uniform && variable.binding.as_ref().is_some_and(|binding| binding.binding == 0)
        });
        let (_, variable) = uniform.unwrap_or_else(|| panic!("{} has no params", row.stem));
        let TypeInner::Struct { members, .. } = &module.types[variable.ty].inner else { panic!("params are a struct") };
        let reflected: Vec<Field> = members
            .iter()
            .map(|member| Field {
                name: Box::leak(member.name.clone().expect("named").into_boxed_str()),
                kind: match module.types[member.ty].inner {
                    TypeInner::Scalar(scalar) if scalar.kind == ScalarKind::Uint => "u32",
                    TypeInner::Scalar(scalar) if scalar.kind == ScalarKind::Float => "f32",
                    _ => "something else",
                },
                offset: member.offset as usize,
            })
            .collect();
        assert_eq!(reflected, row.fields, "{}", row.stem);
    });
}

#[test]
fn bindings_have_the_same_order_and_access() {
    each_variant(|row, module, _| {
        let mut reflected: Vec<(u32, String, bool)> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| match (&variable.binding, variable.space) {
                (Some(binding), AddressSpace::Storage { access }) => {
                    assert_eq!(binding.group, 0);
                    let name = variable.name.clone().expect("named");
                    Some((binding.binding, name, access.contains(StorageAccess::STORE)))
                }
                _ => None,
            })
            .collect();
        reflected.sort();
        let expected: Vec<(u32, String, bool)> =
            (1..).zip(row.bindings).map(|(number, binding)| (number, binding.name.to_owned(), binding.written)).collect();
        assert_eq!(reflected, expected, "{}", row.stem);
        assert!(row.bindings.iter().rev().skip(1).all(|binding| !binding.written), "only the last binding is written");
        assert!(row.bindings.last().is_some_and(|binding| binding.written));
    });
}

#[test]
fn workgroups_stay_within_the_minimum_of_webgpu() {
    each_variant(|row, module, _| {
        let [entry] = module.entry_points.as_slice() else { panic!("{}: one entry point", row.stem) };
        assert_eq!((entry.name.as_str(), entry.workgroup_size), ("main", [row.workgroup, 1, 1]), "{}", row.stem);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).expect("valid types");
        let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, variable)| layouter[variable.ty].size).sum();
        assert!(bytes <= 16 << 10, "{} takes {bytes} bytes of workgroup memory", row.stem);
    });
}

#[test]
fn every_kernel_translates_for_vulkan_metal_and_direct3d() {
    each_variant(|row, module, info| {
        let words = spv::write_vec(module, info, &spv::Options::default(), None);
        assert!(words.is_ok_and(|words| words.len() > 100), "{} as SPIR-V", row.stem);
        let metal = msl::write_string(module, info, &msl::Options::default(), &msl::PipelineOptions::default());
        assert!(metal.is_ok_and(|(text, _)| text.contains("kernel void")), "{} as MSL", row.stem);
        let (mut text, options, pipeline) = (String::new(), hlsl::Options::default(), hlsl::PipelineOptions::default());
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None).map(|_| ());
        assert!(written.is_ok() && text.contains("numthreads(64, 1, 1)"), "{} as HLSL: {written:?}", row.stem);
    });
}

//! Shaders, kernel table and reference are the same thing three times; these tests hold them together.

use std::collections::BTreeSet;
use std::path::Path;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, StorageAccess, TypeInner};
use orthoformer::kernel::{Kernel, KernelRow};
use orthoformer::params::Field;
use orthoformer::plan::Element;
use orthoformer::variant::{VARIANTS, Variant, VariantRow};
use orthoformer::wgsl::{self, Parts};

/// Constants to assemble a kernel with: the largest that its params can ask for, and the smallest.
fn constants(kernel: Kernel) -> Vec<Vec<u32>> {
    match kernel {
        Kernel::Attend => vec![vec![1, 1, 16], vec![16, 16, 16], vec![32, 32, 8], vec![1, 32, 16]],
        Kernel::AttendWeights => vec![vec![4, 16], vec![32, 16]],
        Kernel::FeatureAttend => vec![vec![4], vec![32]],
        _ => vec![vec![]],
    }
}

/// The same for a variant, with the invocations of a workgroup that each choice comes to. All of them are for adapters of the minimum.
fn variant_constants(row: &VariantRow) -> Vec<(Vec<u32>, u32)> {
    match row.stem {
        "linear_blocks" => vec![(vec![0], 64), (vec![1], 64)],
        "linear_broadcast" => vec![(vec![8, 0], 8), (vec![32, 1], 32)],
        "linear_cooperative" => vec![(vec![8, 8, 0], 64), (vec![32, 16, 1], 256), (vec![64, 16, 0], 512)],
        "linear_tiles" => [[0, 1, 1], [0, 2, 2], [1, 1, 2], [1, 2, 1]].map(|constants| (constants.to_vec(), 256)).to_vec(),
        "attend_broadcast" => vec![(vec![8, 32], 8), (vec![32, 8], 32)],
        // The largest that fit in 16, 32 and 48 KiB.
        "attend_cooperative" => vec![(vec![8, 8, 1, 8, 4], 32), (vec![32, 8, 16, 4, 4], 128), (vec![32, 16, 4, 4, 4], 128)],
        "attend_tiles" => [[1, 2, 1], [1, 2, 4], [2, 1, 1], [2, 1, 2]].map(|constants| (constants.to_vec(), 128)).to_vec(),
        "temporal_weights_tiles" => vec![(vec![2, 1], 64), (vec![113, 4], 64)],
        "temporal_pool_tiles" => vec![(Vec::new(), 64)],
        "attend_weights_broadcast" | "temporal_weights_broadcast" | "temporal_pool_broadcast" => {
            vec![(vec![8], 8), (vec![32], 32)]
        }
        stem => panic!("which constants does {stem} take?"),
    }
}

/// A kernel's shader or a variant's, with values for its constants.
#[derive(Clone)]
struct Shader {
    row: &'static KernelRow,
    parts: Parts,
    constants: Vec<u32>,
    workgroup: u32,
    subgroups: bool,
    /// What is stored in each binding that may be stored as either.
    element: Element,
}

impl Shader {
    fn elements(&self) -> Vec<Element> {
        self.row.bindings.iter().map(|row| row.stored.map_or(Element::F32, |_| self.element)).collect()
    }
}

fn shaders() -> Vec<Shader> {
    let kernels = Kernel::ALL.into_iter().map(Kernel::row).flat_map(|row| {
        let (parts, workgroup, element) = (row.parts(), row.workgroup, Element::F32);
        let of = move |constants| Shader { row, parts, constants, workgroup, subgroups: false, element };
        constants(row.kernel).into_iter().map(of)
    });
    let variants = VARIANTS.into_iter().flat_map(|variant| {
        let (row, subgroups) = (variant.kernel.row(), matches!(variant.variant, Variant::Broadcast | Variant::Cooperative));
        let (parts, element) = (variant.parts(), Element::F32);
        let of = move |(constants, workgroup)| Shader { row, parts, constants, workgroup, subgroups, element };
        variant_constants(variant).into_iter().map(of)
    });
    let stored = |shader: Shader| {
        let takes_any = shader.row.bindings.iter().any(|row| row.stored.is_some());
        let mut elements =
            Element::ALL.into_iter().filter(move |&element| takes_any || element == Element::F32).collect::<Vec<_>>();
        if shader.parts.matrices {
            elements.retain(|&element| element == Element::F16);
        }
        elements.into_iter().map(move |element| Shader { element, ..shader.clone() })
    };
    kernels.chain(variants).flat_map(stored).collect()
}

fn module(shader: &Shader) -> (Module, ModuleInfo) {
    let assembled = wgsl::assemble(&shader.parts, &shader.constants, &shader.elements()).expect("the row's own libraries");
    let mut capabilities = if shader.subgroups { Capabilities::SUBGROUP } else { Capabilities::empty() };
    capabilities.set(Capabilities::SHADER_FLOAT16, shader.element == Element::F16);
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, shader.parts.matrices);
    let options = naga::front::wgsl::Options { parse_doc_comments: false, capabilities };
    let module = naga::front::wgsl::Frontend::new_with_options(options).parse(&assembled.source).unwrap_or_else(|error| {
        let place = error.location(&assembled.source).map(|location| assembled.place(location.line_number as usize));
        panic!("{}: {error}", place.unwrap_or_default())
    });
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{}: {error:?}", shader.parts.stem));
    (module, info)
}

fn each_shader(mut check: impl FnMut(&Shader, &Module, &ModuleInfo)) {
    for shader in shaders() {
        let (module, info) = module(&shader);
        check(&shader, &module, &info);
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
    let all = rows.iter().cloned().chain(VARIANTS.into_iter().map(|variant| variant.stem.to_owned())).collect();
    assert_eq!(stems("shaders", "wgsl"), all);
    assert_eq!(references, rows);
    for kernel in Kernel::ALL {
        assert_eq!(kernel.row().kernel, kernel);
    }
    for variant in VARIANTS {
        assert_eq!(variant.stem, format!("{}_{}", variant.kernel.row().stem, variant.variant));
        assert!(VariantRow::of(variant.kernel, variant.variant).is_some_and(|first| std::ptr::eq(first, variant)), "twice");
    }
}

#[test]
fn params_have_the_same_fields_at_the_same_offsets() {
    each_shader(|shader, module, _| {
        let (row, stem) = (shader.row, shader.parts.stem);
        let uniform = module.global_variables.iter().find(|(_, variable)| {
            variable.space == AddressSpace::Uniform && variable.binding.as_ref().is_some_and(|binding| binding.binding == 0)
        });
        let (_, variable) = uniform.unwrap_or_else(|| panic!("{stem} has no params"));
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
        assert_eq!(reflected, row.fields, "{stem}");
    });
}

#[test]
fn bindings_have_the_same_order_and_access() {
    each_shader(|shader, module, _| {
        let (row, stem) = (shader.row, shader.parts.stem);
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
        assert_eq!(reflected, expected, "{stem}");
        assert!(row.bindings.iter().rev().skip(1).all(|binding| !binding.written), "only the last binding is written");
        assert!(row.bindings.last().is_some_and(|binding| binding.written));
    });
}

#[test]
fn workgroups_stay_within_the_minimum_of_webgpu() {
    each_shader(|shader, module, _| {
        let stem = shader.parts.stem;
        let [entry] = module.entry_points.as_slice() else { panic!("{stem}: one entry point") };
        assert_eq!((entry.name.as_str(), entry.workgroup_size), ("main", [shader.workgroup, 1, 1]), "{stem}");
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).expect("valid types");
        let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, variable)| layouter[variable.ty].size).sum();
        // What has matrix units has more than the minimum.
        let most = if shader.parts.matrices { 48 << 10 } else { 16 << 10 };
        assert!(bytes <= most, "{stem} takes {bytes} bytes of workgroup memory");
    });
}

#[test]
fn every_kernel_translates_for_vulkan_metal_and_direct3d() {
    each_shader(|shader, module, info| {
        let stem = shader.parts.stem;
        // Subgroups came to SPIR-V with 1.3, to Metal for reductions with 2.1, with matrices with 2.3, and to Direct3D with shader model 6.
        let (vulkan, metal, direct3d) = match shader.subgroups {
            true if shader.parts.matrices => ((1, 4), (2, 3), hlsl::ShaderModel::V6_0),
            true => ((1, 3), (2, 1), hlsl::ShaderModel::V6_0),
            false => (
                spv::Options::default().lang_version,
                msl::Options::default().lang_version,
                hlsl::Options::default().shader_model,
            ),
        };
        let words = spv::write_vec(module, info, &spv::Options { lang_version: vulkan, ..spv::Options::default() }, None);
        assert!(words.is_ok_and(|words| words.len() > 100), "{stem} as SPIR-V");
        let options = msl::Options { lang_version: metal, ..msl::Options::default() };
        let metal = msl::write_string(module, info, &options, &msl::PipelineOptions::default());
        assert!(metal.is_ok_and(|(text, _)| text.contains("kernel void")), "{stem} as MSL");
        if shader.parts.matrices {
            // naga has no matrix units for Direct3D: no adapter offers them there.
            return;
        }
        let options = hlsl::Options { shader_model: direct3d, ..hlsl::Options::default() };
        let (mut text, pipeline) = (String::new(), hlsl::PipelineOptions::default());
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None).map(|_| ());
        let threads = format!("numthreads({}, 1, 1)", shader.workgroup);
        assert!(written.is_ok() && text.contains(&threads), "{stem} as HLSL: {written:?}");
    });
}

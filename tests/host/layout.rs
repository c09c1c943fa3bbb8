//! Shaders, kernel table and reference are the same thing three times; these tests hold them together.

use std::collections::BTreeSet;
use std::path::Path;

use naga::{AddressSpace, ScalarKind, StorageAccess, TypeInner};
use orthoformer::kernel::Field;
use orthoformer::kernel::Kernel;
use orthoformer::variant::{Need, VARIANTS, VariantRow};

use crate::shaders::{each_shader, workgroup_bytes};

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
    let declared: BTreeSet<String> = stems("src/kernel", "rs").intersection(&rows).cloned().collect();
    assert_eq!(references.union(&declared).cloned().collect::<BTreeSet<_>>(), rows);
    for &kernel in Kernel::ALL {
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
                    TypeInner::Struct { .. } if module.types[member.ty].name.as_deref() == Some("View") => "View",
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
        let bytes = workgroup_bytes(module);
        // What has matrix units has more than the minimum.
        let most = if shader.needs().contains(&Need::Matrices) { 48 << 10 } else { 16 << 10 };
        assert!(bytes <= most, "{stem} takes {bytes} bytes of workgroup memory");
    });
}

//! All shaders there are, with values for their constants.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::collections::BTreeSet;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module};
use orthoformer::kernel::{Kernel, KernelRow};
use orthoformer::plan::Element;
use orthoformer::variant::{Need, VARIANTS, VariantRow};
use orthoformer::wgsl::{self, Assembled, Dialect, Parts};

/// Constants to assemble a kernel with: the largest that its params can ask for, and the smallest.
fn constants(kernel: Kernel) -> Vec<Vec<u32>> {
    match kernel {
        Kernel::Attend => vec![vec![1, 1, 16], vec![16, 16, 16], vec![32, 32, 8], vec![1, 32, 16]],
        Kernel::AttendWindows => vec![vec![4, 4, 16], vec![16, 16, 16], vec![32, 32, 8]],
        Kernel::AttendWeights => vec![vec![4], vec![32]],
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
        "attend_windows_broadcast" => vec![(vec![8, 8, 1200], 8), (vec![32, 2, 49], 32)],
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
pub struct Shader {
    pub row: &'static KernelRow,
    pub variant: Option<&'static VariantRow>,
    pub parts: Parts,
    pub constants: Vec<u32>,
    /// Invocations of a workgroup, as they have to be.
    pub workgroup: u32,
    /// What is stored in each binding that may be stored as either.
    pub element: Element,
}

impl Shader {
    /// Its stem, and what it stores.
    pub fn name(&self) -> String {
        format!("{} {}", self.parts.stem, self.element)
    }

    /// What it needs, as its row and what it stores say.
    pub fn needs(&self) -> Vec<Need> {
        let stored = (self.element == Element::F16).then_some(Need::Half);
        let all: BTreeSet<Need> = self.variant.into_iter().flat_map(|row| row.needs).copied().chain(stored).collect();
        all.into_iter().collect()
    }

    /// The WGSL that is compiled.
    pub fn assembled(&self, dialect: Dialect) -> Assembled {
        let elements: Vec<Element> =
            self.row.bindings.iter().map(|row| if row.any { self.element } else { Element::F32 }).collect();
        wgsl::assemble_for(dialect, &self.parts, &self.constants, &elements).expect("the row's own libraries")
    }
}

/// All kernels and variants, with each choice of constants, for each element that they may store.
pub fn shaders() -> Vec<Shader> {
    let element = Element::F32;
    let kernels = Kernel::ALL.iter().copied().map(Kernel::row).flat_map(|row| {
        let (parts, workgroup) = (row.parts(), row.workgroup);
        constants(row.kernel).into_iter().map(move |constants| Shader {
            row,
            variant: None,
            parts,
            constants,
            workgroup,
            element,
        })
    });
    let variants = VARIANTS.into_iter().flat_map(|variant| {
        let (row, parts) = (variant.kernel.row(), variant.parts());
        let of = move |(constants, workgroup)| Shader { row, variant: Some(variant), parts, constants, workgroup, element };
        variant_constants(variant).into_iter().map(of)
    });
    let stored = |shader: Shader| {
        let takes_any = shader.row.bindings.iter().any(|row| row.any);
        let only_half = shader.variant.is_some_and(|row| row.needs.contains(&Need::Half));
        let fits = move |element: &Element| match element {
            Element::F32 => !only_half,
            Element::F16 => takes_any,
        };
        Element::ALL.into_iter().filter(fits).map(move |element| Shader { element, ..shader.clone() })
    };
    kernels.chain(variants).flat_map(stored).collect()
}

/// What naga calls these needs.
pub fn capabilities(needs: &[Need]) -> Capabilities {
    let each = needs.iter().map(|need| match need {
        Need::Matrices => Capabilities::COOPERATIVE_MATRIX,
        Need::Subgroups => Capabilities::SUBGROUP,
        Need::Half => Capabilities::SHADER_FLOAT16,
    });
    each.fold(Capabilities::empty(), |all, one| all | one)
}

/// The shader as naga reads it, with no other capabilities than these.
///
/// # Errors
/// Where it is wrong or uses other capabilities, and how.
pub fn module_with(shader: &Shader, capabilities: Capabilities) -> Result<(Module, ModuleInfo), String> {
    let assembled = shader.assembled(Dialect::Naga);
    let options = naga::front::wgsl::Options { parse_doc_comments: false, capabilities };
    let module = naga::front::wgsl::Frontend::new_with_options(options).parse(&assembled.source).map_err(|error| {
        let place = error.location(&assembled.source).map(|location| assembled.place(location.line_number as usize));
        format!("{}: {error}", place.unwrap_or_default())
    })?;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).map_err(|error| format!("{}: {error:?}", shader.name()))?;
    Ok((module, info))
}

/// Goes through all shaders as naga reads them, with what they need and no more.
pub fn each_shader(mut check: impl FnMut(&Shader, &Module, &ModuleInfo)) {
    for shader in shaders() {
        let (module, info) = module_with(&shader, capabilities(&shader.needs())).unwrap_or_else(|error| panic!("{error}"));
        check(&shader, &module, &info);
    }
}

/// Bytes of workgroup memory.
pub fn workgroup_bytes(module: &Module) -> u32 {
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).expect("valid types");
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    shared.map(|(_, variable)| layouter[variable.ty].size).sum()
}

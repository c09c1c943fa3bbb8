//! All shaders there are, with values for their constants.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::collections::BTreeSet;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module};
use orthoformer::kernel::{Kernel, KernelRow};
use orthoformer::plan::Element;
use orthoformer::variant::{Need, VARIANTS, VariantRow};
use orthoformer::wgsl::{self, Assembled, Dialect, Parts};

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
        row.examples.iter().map(move |constants| Shader {
            row,
            variant: None,
            parts,
            constants: constants.to_vec(),
            workgroup,
            element,
        })
    });
    let variants = VARIANTS.into_iter().flat_map(|variant| {
        let (row, parts) = (variant.kernel.row(), variant.parts());
        variant.examples.iter().map(move |&(constants, workgroup)| {
            let constants = constants.to_vec();
            Shader { row, variant: Some(variant), parts, constants, workgroup, element }
        })
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

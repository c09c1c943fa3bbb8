//! The shaders to compile: every kernel and variant with representative constants, and what an engine chooses for given plans.

use std::collections::BTreeMap;

use orthoformer::gpu::Engine;
use orthoformer::kernel::Kernel;
use orthoformer::plan::{Dispatch, Element, Plan};
use orthoformer::variant::{self, Need, VARIANTS, Variant, VariantRow};
use orthoformer::wgsl::Parts;

/// Everything that is baked into a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kernel: Kernel,
    pub variant: Variant,
    pub constants: Vec<u32>,
    pub elements: Vec<Element>,
}

/// Shaders, each with the names of the plans for which the engine chooses it: none for representative ones.
pub type Shaders = BTreeMap<Key, Vec<String>>;

impl Key {
    /// What the shader is made of.
    pub fn parts(&self) -> Parts {
        VariantRow::of(self.kernel, self.variant).map_or_else(|| self.kernel.row().parts(), VariantRow::parts)
    }

    /// Whether no index can be out of range, so that the engine leaves checks out.
    pub fn is_trusted(&self) -> bool {
        self.kernel.row().accesses_in_range
    }

    /// What is stored in the bindings that may be stored as either: one name, or one each.
    pub fn stored(&self) -> String {
        let bindings = self.kernel.row().bindings;
        let free = bindings.iter().zip(&self.elements).filter(|(binding, _)| binding.any);
        let mut names: Vec<&str> = free.map(|(_, element)| element.name()).collect();
        if names.windows(2).all(|pair| pair[0] == pair[1]) {
            names.truncate(1);
        }
        if names.is_empty() { Element::F32.name().to_owned() } else { names.join("/") }
    }

    /// How an engine runs a dispatch.
    fn chosen(engine: &Engine, dispatch: &Dispatch) -> Self {
        let choice = engine.choice_of(dispatch);
        let config = variant::configure(dispatch, choice, engine.capabilities());
        let (variant, constants) = match (choice.variant, config) {
            (Variant::Baseline, _) | (_, Err(_)) => (Variant::Baseline, dispatch.constants.clone()),
            (variant, Ok(config)) => (variant, config.constants),
        };
        Self { kernel: dispatch.kernel, variant, constants, elements: dispatch.elements.clone() }
    }
}

/// Adds what an engine chooses for the dispatches of a plan.
pub fn add_chosen(shaders: &mut Shaders, engine: &Engine, name: &str, plan: &Plan) {
    for dispatch in plan.dispatches() {
        let names = shaders.entry(Key::chosen(engine, dispatch)).or_default();
        if names.last().is_none_or(|last| last != name) {
            names.push(name.to_owned());
        }
    }
}

/// Adds every kernel and variant that an adapter with these abilities takes, with the examples of its constants.
pub fn add_examples(shaders: &mut Shaders, has: &[Need]) {
    for &kernel in Kernel::ALL {
        for constants in kernel.row().examples {
            add_stored(shaders, kernel, Variant::Baseline, constants, has);
        }
    }
    for row in VARIANTS.iter().filter(|row| row.needs.iter().all(|need| has.contains(need))) {
        for (constants, _) in row.examples {
            add_stored(shaders, row.kernel, row.variant, constants, has);
        }
    }
}

fn add_stored(shaders: &mut Shaders, kernel: Kernel, variant: Variant, constants: &[u32], has: &[Need]) {
    let bindings = kernel.row().bindings;
    let only_half = VariantRow::of(kernel, variant).is_some_and(|row| row.needs.contains(&Need::Half));
    for element in Element::ALL {
        let fits = match element {
            Element::F32 => !only_half,
            Element::F16 => has.contains(&Need::Half) && bindings.iter().any(|binding| binding.any),
        };
        if fits {
            let elements = bindings.iter().map(|binding| if binding.any { element } else { Element::F32 }).collect();
            shaders.entry(Key { kernel, variant, constants: constants.to_vec(), elements }).or_default();
        }
    }
}

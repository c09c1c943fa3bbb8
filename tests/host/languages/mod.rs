//! Every shader in the languages of the backends: what is declared to be had translates and is valid, what is declared not to be had really
//! cannot be had. A snapshot and the portability table of the documentation follow from the same.

mod kept;
mod snapshot;
mod table;
mod translate;
mod validators;

use std::collections::BTreeSet;

use naga::Module;
use naga::valid::ModuleInfo;
use orthoformer::Shape;
use orthoformer::gpu::{AdapterChoice, adapters};
use orthoformer::kernel::{AttendWindows, Linear};
use orthoformer::ops::approximation::{Approximation, Candidates, Prototypes, Selection};
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::plan::{Dispatch, Element, Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::variant::{self, Language, Need, VARIANTS};
use orthoformer::wgsl::Dialect;

use crate::shaders::{Shader, capabilities, each_shader, module_with, shaders};
use translate::{Text, translate, writable};

/// What naga writes in a language, though wgpu offers it to no shader there: see `adapters_offer_nothing_that_their_language_lacks`.
const ONLY_WGPU_LACKS: [(Language, Need); 1] = [(Language::Glsl, Need::Subgroups)];

/// The translations of all shaders that a language has.
fn texts(language: Language) -> Vec<Text> {
    let mut texts = Vec::new();
    each_shader(|shader, module, info| {
        if shader.needs().into_iter().all(|need| language.lacks(need).is_none()) {
            let translated = translate(shader, module, info, language);
            texts.extend(translated.unwrap_or_else(|error| panic!("{} in {}: {error}", shader.name(), language.name())));
        }
    });
    texts
}

fn assert_no_faults(faults: &[String], of: usize) {
    assert!(faults.is_empty(), "{} of {of}:\n{}", faults.len(), faults.iter().take(5).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_shader_is_valid_in_spirv() {
    let modules = texts(Language::Spirv);
    assert_eq!(modules.len(), 2 * shaders().len(), "SPIR-V has everything");
    assert_no_faults(&validators::spirv_faults(&modules, "spirv"), modules.len());
}

#[test]
fn every_shader_is_valid_in_glsl_or_declared_not_to_be_there() {
    let texts = texts(Language::Glsl);
    assert!(texts.len() > 60, "{}", texts.len());
    assert_no_faults(&validators::glsl_faults(&texts, "glsl"), texts.len());
}

#[test]
fn every_shader_translates_to_msl_and_hlsl_or_is_declared_not_to() {
    assert_eq!(texts(Language::Msl).len(), 2 * shaders().len(), "MSL has everything");
    assert!(texts(Language::Hlsl).len() > 150);
}

#[test]
fn validators_find_faults() {
    let broken = |language: Language, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let text = texts(language).into_iter().next().expect("some");
        vec![Text { bytes: change(text.bytes), ..text }]
    };
    // The first instruction after the header declares a capability: one that needs another version and was not asked for.
    let modules = broken(Language::Spirv, &|mut bytes| {
        bytes[24..28].copy_from_slice(&61u32.to_le_bytes());
        bytes
    });
    let faults = validators::spirv_faults(&modules, "broken");
    assert!(faults.len() == 1 || !validators::installed("spirv-val"), "{faults:?}");
    let texts = broken(Language::Glsl, &|bytes| String::from_utf8_lossy(&bytes).replacen("uint ", "uinte ", 1).into_bytes());
    let faults = validators::glsl_faults(&texts, "broken");
    assert!(faults.len() == 1 || !validators::installed("glslangValidator"), "{faults:?}");
}

#[test]
fn shaders_need_what_their_rows_say_and_all_of_it() {
    for shader in shaders() {
        let needs = shader.needs();
        assert_eq!(module_with(&shader, capabilities(&needs)).err(), None);
        for &left_out in &needs {
            let others: Vec<Need> = needs.iter().copied().filter(|&need| need != left_out).collect();
            let parsed = module_with(&shader, capabilities(&others));
            assert!(parsed.is_err(), "{} does without {}", shader.name(), left_out.name());
        }
    }
}

/// Whether a shader really cannot be had in a language because of a need. Nothing is said where it has other needs that naga does not write.
fn cannot_be_had(shader: &Shader, module: &Module, info: &ModuleInfo, language: Language, need: Need) -> bool {
    let wgpus_own = |extension: &String| extension.starts_with("wgpu_");
    let writable = |needs: &[Need]| writable(language).contains(capabilities(needs));
    match language {
        Language::Wgsl => extensions(shader).iter().any(wgpus_own),
        _ if ONLY_WGPU_LACKS.contains(&(language, need)) || !writable(&[need]) || !writable(&shader.needs()) => true,
        _ => translate(shader, module, info, language).is_err(),
    }
}

#[test]
fn what_languages_are_declared_to_lack_cannot_be_had() {
    let mut seen = BTreeSet::new();
    each_shader(|shader, module, info| {
        for language in Language::ALL {
            let mut lacking = shader.needs();
            lacking.retain(|&need| language.lacks(need).is_some());
            for need in lacking {
                let missing = cannot_be_had(shader, module, info, language, need);
                assert!(missing, "{} can be had in {} in spite of {}", shader.name(), language.name(), need.name());
                seen.insert((language, need));
            }
        }
    });
    let declared = Language::ALL.into_iter().flat_map(|language| Need::ALL.map(|need| (language, need)));
    let declared: BTreeSet<_> = declared.filter(|(language, need)| language.lacks(*need).is_some()).collect();
    assert_eq!(seen, declared, "each lack concerns some shader");
}

/// The extensions that a shader enables in a browser.
fn extensions(shader: &Shader) -> Vec<String> {
    let source = shader.assembled(Dialect::Browser).source;
    let enabled = source.lines().filter_map(|line| line.strip_prefix("enable ")?.strip_suffix(';').map(str::to_owned));
    enabled.collect()
}

#[test]
fn browsers_are_told_what_shaders_need_and_nothing_of_wgpus_own() {
    for shader in shaders() {
        let needs = shader.needs();
        if needs.iter().all(|&need| Language::Wgsl.lacks(need).is_none()) {
            let (mut enabled, mut named) = (extensions(&shader), needs.iter().map(|need| need.name()).collect::<Vec<_>>());
            enabled.sort();
            named.sort();
            assert_eq!(enabled, named, "{}", shader.name());
        }
    }
}

#[test]
fn adapters_offer_nothing_that_their_language_lacks() {
    let mut seen = BTreeSet::new();
    for adapter in adapters(&AdapterChoice { backend: Some("vulkan,metal,dx12,gl".to_owned()), ..AdapterChoice::default() })
        .expect("known names")
    {
        let language = Language::of_backend(&adapter.backend).unwrap_or_else(|| panic!("the language of {}?", adapter.backend));
        for need in Need::ALL.into_iter().filter(|&need| language.lacks(need).is_some()) {
            let tier = match need {
                Need::Matrices => &adapter.tiers.cooperative_matrix,
                Need::Subgroups => &adapter.tiers.subgroups,
                Need::Half => &adapter.tiers.f16,
            };
            assert!(!tier.on, "{adapter} offers {}: {}", need.name(), tier.detail);
        }
        seen.insert(language);
    }
    for (language, need) in ONLY_WGPU_LACKS.into_iter().filter(|(language, _)| !seen.contains(language)) {
        println!("skipped: whether adapters of {} offer {}, as there is none here", language.api(), need.name());
    }
}

/// Attention within windows of 2 x 3 x 3 on a grid of 2 x 3 x 6, two heads of eight elements.
fn windows() -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let mut tokens = |name, role| builder.array(name, &[1, 2, 36, 8], role).expect("small");
    let [queries, keys, values] = ["queries", "keys", "values"].map(|name| tokens(name, Role::Input));
    let tokens = tokens("tokens", Role::Output);
    let table = builder.array("table", &[75, 2], Role::Input).expect("small");
    let [frames, rows, columns] = [2, 3, 6];
    let [table_frames, table_rows, table_columns] = [2, 3, 3];
    let [window_frames, window_rows, window_columns] = [2, 3, 3];
    let request = AttendWindows {
        queries,
        keys,
        values,
        table,
        tokens,
        frames,
        rows,
        columns,
        table_frames,
        table_rows,
        table_columns,
        window_frames,
        window_rows,
        window_columns,
        scale: 1.0,
        shift_frames: 0,
        shift_rows: 0,
        shift_columns: 0,
    };
    builder.launch("windows", request).expect("in range");
    builder.build()
}

/// A product of two rows.
fn few_rows() -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let x = builder.array("x", &[2, 8], Role::Input).expect("small");
    let w = builder.array("w", &[8, 8], Role::Input).expect("small");
    let y = builder.array("y", &[2, 8], Role::Output).expect("small");
    builder.launch("product", Linear::new(x, w, y)).expect("in range");
    builder.build()
}

/// The dispatches of an Orthoformer layer, of attention within windows and of a product of few rows, among which are all kernels that have
/// variants, of sizes that suit these.
fn dispatches(element: Element) -> Vec<Dispatch> {
    let prototypes =
        Prototypes { count: 16, candidates: Candidates::Queries, selection: Selection::Random { seed: 0 }, per_frame: false };
    let spec = LayerSpec {
        shape: Shape::new(1, 2, 4, 64, 32).expect("small"),
        attention: LayerAttention::Trajectory(TemporalValue::Projected),
        approximation: Approximation::Orthoformer(prototypes),
        class_token: false,
        biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
        outputs: LayerOutputs::default(),
    };
    let layer = layer::plan(&spec, PlanLimits::default()).expect("a small layer");
    [layer, windows(), few_rows()]
        .into_iter()
        .flat_map(|plan| plan.stored_as(element).dispatches().cloned().collect::<Vec<_>>())
        .collect()
}

#[test]
fn variants_that_a_language_lacks_are_not_offered() {
    let (subgroup, matrix_side, most) = (Some(32), Some(8), 48 << 10);
    let sizes =
        variant::Capabilities { workgroup_bytes: most, invocations: 1024, registers: 255, ..variant::Capabilities::default() };
    let all = variant::Capabilities { cpu: false, subgroup, f16: true, matrix_side, ..sizes };
    let mut offered = BTreeSet::new();
    for dispatch in Element::ALL.into_iter().flat_map(dispatches) {
        for row in VARIANTS.into_iter().filter(|row| row.kernel == dispatch.kernel) {
            let offers = |capabilities: &variant::Capabilities| variant::configure(&dispatch, row.variant, capabilities).is_ok();
            if !offers(&all) {
                continue;
            }
            for language in Language::ALL {
                // Whether anything is stored as float16 is asked before there is a choice.
                let lacks = row.needs.iter().any(|&need| language.lacks(need).is_some());
                assert_eq!(offers(&all.within(language)), !lacks, "{} in {}", row.stem, language.name());
            }
            offered.insert(row.stem);
        }
    }
    assert_eq!(offered, VARIANTS.iter().map(|row| row.stem).collect(), "all variants are tried");
    assert_eq!(all.within(Language::Spirv), all);
    assert!(!all.within(Language::Glsl).f16);
}

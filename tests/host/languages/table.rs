//! The portability table of the documentation.

use std::fmt::Write as _;

use orthoformer::plan::Element;
use orthoformer::variant::{Language, Need};

use super::kept::assert_kept;
use super::translate::oldest;
use crate::shaders::{Shader, shaders};

const HEAD: &str = "\
Where each kernel runs, by variant: the oldest version of each language in which wgpu 30 offers what it needs, and what its elements may be \
stored as there. Written by the test that translates them all (`tests/host/languages`): SPIR-V is checked by `spirv-val`, GLSL by `glslangValidator`; \
MSL and HLSL are written by naga and checked by no compiler of Apple's or Microsoft's, WGSL by no browser's.

The *tiers* are what an adapter has to offer beyond WebGPU's minimum, as `orthoformer devices` lists it:

- *minimum*: nothing, for elements stored as float32; float16 storage needs 16-bit floats, in every tier.
- *subgroups*: operations across subgroups, all of one known size of at least eight.
- *matrices*: matrix units for float16 with sums in float32, subgroups, and a device opened with both.

The engine takes a variant only where the adapter offers its tier; the baseline runs everywhere. HLSL beyond 5.1 takes Microsoft's DXC compiler, \
which wgpu uses where it finds it. MSL has matrices of 8 x 8 only. GLSL 4.30 stands for OpenGL ES 3.10 as well.
";

/// The oldest version of a language for such needs, as the table names it.
///
/// # Errors
/// The first need that the language lacks.
pub fn version(language: Language, needs: &[Need]) -> Result<String, Need> {
    if let Some(&lacking) = needs.iter().find(|&&need| language.lacks(need).is_some()) {
        return Err(lacking);
    }
    let (major, minor) = oldest(language, needs);
    Ok(match language {
        // A browser's features in place of versions.
        Language::Wgsl if needs.is_empty() => "as it is".to_owned(),
        Language::Wgsl => {
            let features = needs.iter().map(|need| if *need == Need::Half { "shader-f16" } else { need.name() });
            features.collect::<Vec<_>>().join(" + ")
        }
        _ => format!("{major}.{minor}"),
    })
}

fn note(language: Language, need: Need) -> String {
    format!("[^{}-{}]", language.name().to_lowercase(), need.name())
}

/// For all elements that a shader comes with: the version and what may be stored, together where it is the same.
fn cell(language: Language, elements: &[&Shader]) -> String {
    let mut versions: Vec<(String, Vec<&str>)> = Vec::new();
    for shader in elements {
        let text = match version(language, &shader.needs()) {
            Ok(version) => version,
            Err(lacking) => format!("–{}", note(language, lacking)),
        };
        match versions.last_mut().filter(|(last, _)| *last == text) {
            Some((_, elements)) => elements.push(shader.element.name()),
            None => versions.push((text, vec![shader.element.name()])),
        }
    }
    let cells = versions.into_iter().map(|(version, elements)| format!("{version} ({})", elements.join(", ")));
    cells.collect::<Vec<_>>().join("; ")
}

fn tier(shader: &Shader) -> &'static str {
    shader.needs().into_iter().find(|&need| need != Need::Half).map_or("minimum", Need::name)
}

fn table() -> String {
    let shaders = shaders();
    let mut text = format!("{HEAD}\n| kernel | variant | tier |");
    for language in Language::ALL {
        let _ = write!(text, " {}, {} |", language.name(), language.api());
    }
    let _ = writeln!(text, "\n|{}", " --- |".repeat(3 + Language::ALL.len()));
    let mut stems: Vec<&str> = shaders.iter().map(|shader| shader.parts.stem).collect();
    stems.dedup();
    // Variants below their baselines, in the order of the kernels.
    let first = |stem: &str| shaders.iter().find(|shader| shader.parts.stem == stem).expect("it is from there");
    stems.sort_by_key(|stem| (first(stem).row.kernel, first(stem).variant.map(|row| row.variant)));
    for stem in stems {
        let of = |element| shaders.iter().find(|shader| shader.parts.stem == stem && shader.element == element);
        let elements: Vec<&Shader> = Element::ALL.into_iter().filter_map(of).collect();
        let shader = elements[0];
        let variant = shader.variant.map_or("baseline", |row| row.variant.name());
        let _ = write!(text, "| `{}` | {variant} | {} |", shader.row.stem, tier(shader));
        for language in Language::ALL {
            let _ = write!(text, " {} |", cell(language, &elements));
        }
        text.push('\n');
    }
    text.push('\n');
    for (language, need) in Language::ALL.into_iter().flat_map(|language| Need::ALL.map(|need| (language, need))) {
        if let Some(reason) = language.lacks(need).filter(|_| text.contains(&note(language, need))) {
            let _ = writeln!(text, "{}: {reason}.", note(language, need));
        }
    }
    text
}

#[test]
fn the_portability_table_is_that_of_the_shaders() {
    assert_kept("src/portability.md", &table());
}

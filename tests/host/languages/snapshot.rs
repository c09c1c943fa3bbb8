//! What every shader asks of the engine, as text: a change that nobody meant shows.

use std::fmt::Write as _;

use naga::{AddressSpace, EntryPoint, Module, StorageAccess};
use orthoformer::variant::Language;

use super::kept::assert_kept;
use super::table::version;
use crate::shaders::{Shader, each_shader, workgroup_bytes};

/// What does not depend on the constants.
fn interface(shader: &Shader, module: &Module) -> String {
    let needs: Vec<&str> = shader.needs().into_iter().map(|need| need.name()).collect();
    let mut lines =
        format!("{}\n  needs: {}\n", shader.name(), if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") });
    let versions: Vec<String> = Language::ALL
        .map(|language| {
            format!("{} {}", language.name(), version(language, &shader.needs()).unwrap_or_else(|_| "none".to_owned()))
        })
        .into();
    let _ = writeln!(lines, "  languages: {}", versions.join("; "));
    let mut bindings: Vec<(u32, u32, String)> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let binding = variable.binding.as_ref()?;
            let space = match variable.space {
                AddressSpace::Uniform => "uniform, read",
                AddressSpace::Storage { access } if access == StorageAccess::LOAD => "storage, read",
                AddressSpace::Storage { .. } => "storage, read and written",
                _ => "another space",
            };
            let name = variable.name.as_deref().unwrap_or("unnamed");
            Some((binding.group, binding.binding, format!("{name}: {space}")))
        })
        .collect();
    bindings.sort();
    for (group, number, binding) in bindings {
        let _ = writeln!(lines, "  binding {group}.{number} {binding}");
    }
    lines
}

#[test]
fn shaders_ask_for_what_they_asked_for() {
    // Below what does not depend on the constants, a line for each choice of them.
    let mut snapshot: Vec<(String, String)> = Vec::new();
    each_shader(|shader, module, _| {
        let interface = interface(shader, module);
        let constants: Vec<String> =
            shader.parts.constants.iter().zip(&shader.constants).map(|(name, value)| format!("{name} {value}")).collect();
        let with = if constants.is_empty() { String::new() } else { format!(" with {}", constants.join(", ")) };
        let memory = workgroup_bytes(module);
        let entry = |entry: &EntryPoint| {
            let [x, y, z] = entry.workgroup_size;
            format!("  {}{with}: workgroups of {x} x {y} x {z}, {memory} bytes of workgroup memory\n", entry.name)
        };
        let entries: String = module.entry_points.iter().map(entry).collect();
        match snapshot.iter_mut().find(|(known, _)| *known == interface) {
            Some((_, known)) => known.push_str(&entries),
            None => snapshot.push((interface, entries)),
        }
    });
    let lines: String = snapshot.into_iter().map(|(interface, entries)| interface + &entries).collect();
    assert_kept("tests/snapshots/shaders.txt", &lines);
}

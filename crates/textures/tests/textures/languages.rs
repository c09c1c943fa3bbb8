//! The shaders in the languages of drivers that this machine does not have.

use naga::back::{glsl, hlsl, msl};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Files of each shader, as they are put together.
const SHADERS: [&[&str]; 11] = [
    &["invocations", "source", "source_rgb", "scale_rows"],
    &["invocations", "source", "source_nv12", "scale_rows"],
    &["invocations", "scale_columns"],
    &["grid", "cells"],
    &["grid", "mean"],
    &["invocations", "grid", "describe"],
    &["invocations", "grid", "cut"],
    &["invocations", "source", "source_rgb", "square"],
    &["invocations", "source", "source_nv12", "square"],
    &["strongest"],
    &["invocations", "source", "grid", "heat", "heat_store"],
];
const DRAWN: &[&str] = &["source", "grid", "heat", "heat_draw"];

#[test]
fn every_shader_translates() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let read = |stem: &str| std::fs::read_to_string(folder.join(format!("{stem}.wgsl"))).expect("a shader");
    let mut used = std::collections::BTreeSet::new();
    for parts in SHADERS.into_iter().chain([DRAWN]) {
        used.extend(parts.iter().map(|stem| (*stem).to_owned()));
        let source: Vec<String> = parts.iter().map(|stem| read(stem)).collect();
        let module = naga::front::wgsl::parse_str(&source.join("\n")).expect("parses");
        let info = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module).expect("is valid");
        let mut text = String::new();
        let options = hlsl::Options { special_constants_binding: None, ..hlsl::Options::default() };
        let pipeline = hlsl::PipelineOptions::default();
        hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).expect("HLSL");
        msl::write_string(&module, &info, &msl::Options::default(), &msl::PipelineOptions::default()).expect("MSL");
        for entry in &module.entry_points {
            let options = glsl::Options { version: glsl::Version::new_gles(310), ..glsl::Options::default() };
            let pipeline = glsl::PipelineOptions { shader_stage: entry.stage, entry_point: entry.name.clone(), multiview: None };
            let policy = BoundsCheckPolicy::Unchecked;
            let policies = BoundsCheckPolicies { index: policy, buffer: policy, image_load: policy, binding_array: policy };
            let mut text = String::new();
            let writer = glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, policies);
            writer.and_then(|mut writer| writer.write()).expect("GLSL");
        }
    }
    let files = std::fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("a file").path());
    let stems = files.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned());
    assert_eq!(stems.collect::<std::collections::BTreeSet<_>>(), used);
}

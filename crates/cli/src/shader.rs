//! `orthoformer shader`.

use std::process::ExitCode;

use clap::Args;
use orthoformer::kernel::Kernel;
use orthoformer::plan::Element;
use orthoformer::variant::{Need, VARIANTS, Variant, VariantRow};
use orthoformer::wgsl::{self, Dialect};
use orthoformer::{Error, Result};

use super::terminal::print_line;

/// Print the complete WGSL of a kernel, or list the kernels.
///
/// Prelude, libraries and body, for editors and validators.
#[derive(Args)]
pub(super) struct ShaderArgs {
    /// The kernel: the stem of its file in `shaders/`.
    name: Option<String>,
    /// blocks, tiles, broadcast, cooperative or rows.
    ///
    /// Without it the baseline is printed.
    #[arg(long, value_name = "V", value_parser = variant)]
    variant: Option<Variant>,
    /// Element of bindings that may be f32 or f16.
    ///
    /// By default what the version takes.
    #[arg(long, value_name = "ELEMENT", value_parser = super::element)]
    storage: Option<Element>,
    /// Values of the shader's constants, with commas between [default: small ones].
    #[arg(long, value_name = "N,...", value_delimiter = ',', hide_short_help = true)]
    constants: Option<Vec<u32>>,
    /// Write the dialect of browsers, which enables subgroups in so many words.
    #[arg(long, hide_short_help = true)]
    browser: bool,
}

pub(super) fn main(args: &ShaderArgs) -> Result<ExitCode> {
    let Some(name) = &args.name else {
        Kernel::ALL.iter().try_for_each(|&kernel| print_line(&line_of(kernel)))?;
        return Ok(ExitCode::SUCCESS);
    };
    let (kernel, row) = found(name, args.variant)?;
    let (parts, example) = match row {
        None => (kernel.row().parts(), kernel.row().examples.first().copied()),
        Some(row) => (row.parts(), row.examples.first().map(|(constants, _)| *constants)),
    };
    let constants = args.constants.clone().unwrap_or_else(|| example.unwrap_or_default().to_vec());
    let only_half = row.is_some_and(|row| row.needs.contains(&Need::Half));
    let stored = args.storage.unwrap_or(if only_half { Element::F16 } else { Element::F32 });
    let elements: Vec<Element> =
        kernel.row().bindings.iter().map(|binding| if binding.any { stored } else { Element::F32 }).collect();
    let dialect = if args.browser { Dialect::Browser } else { Dialect::Naga };
    let assembled = wgsl::assemble_for(dialect, &parts, &constants, &elements)?;
    print_line(assembled.source.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// A kernel, and the row of a version that is not its baseline. The name may be that of a version's file.
fn found(name: &str, variant: Option<Variant>) -> Result<(Kernel, Option<&'static VariantRow>)> {
    if let Some(row) = VARIANTS.into_iter().find(|row| row.stem == name && variant.is_none_or(|variant| variant == row.variant)) {
        return Ok((row.kernel, Some(row)));
    }
    let kernel = Kernel::ALL.iter().copied().find(|kernel| kernel.row().stem == name);
    let kernel = kernel.ok_or_else(|| {
        let stems: Vec<&str> = Kernel::ALL.iter().map(|kernel| kernel.row().stem).collect();
        Error::Argument { what: "kernel", given: name.to_owned(), expected: format!("one of {}", stems.join(", ")) }
    })?;
    match variant.filter(|&variant| variant != Variant::Baseline) {
        None => Ok((kernel, None)),
        Some(variant) => match VariantRow::of(kernel, variant) {
            Some(row) => Ok((kernel, Some(row))),
            None => {
                let given = variant.to_string();
                Err(Error::Argument { what: "variant", given, expected: format!("one of {}", versions(kernel)) })
            }
        },
    }
}

/// The versions of a kernel, by name.
fn versions(kernel: Kernel) -> String {
    let others = Variant::ALL.into_iter().filter(|&variant| VariantRow::of(kernel, variant).is_some());
    let names: Vec<&str> = [Variant::Baseline].into_iter().chain(others).map(Variant::name).collect();
    names.join(", ")
}

fn line_of(kernel: Kernel) -> String {
    format!("{:<18} {}", kernel.row().stem, versions(kernel))
}

fn variant(name: &str) -> std::result::Result<Variant, String> {
    let found = Variant::ALL.into_iter().find(|variant| variant.name() == name);
    found.ok_or_else(|| format!("expected one of {}", Variant::ALL.map(Variant::name).join(", ")))
}

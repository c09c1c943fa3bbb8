//! Where `check` has its cases from: files, folders, and what ships inside the program.

use std::path::{Path, PathBuf};

use include_dir::{Dir, File, include_dir};
use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::{Error, Result};
use orthoformer_bench::case::Case;
use orthoformer_models::checkpoint::Checkpoint;

/// The cases that ship inside the crate.
static SHIPPED: Dir = include_dir!("$CARGO_MANIFEST_DIR/shipped/cases");
/// Models with their checkpoints, likewise.
static MODELS: Dir = include_dir!("$CARGO_MANIFEST_DIR/shipped/models");
/// Networks with theirs, each in a folder of its own.
static NETWORKS: Dir = include_dir!("$CARGO_MANIFEST_DIR/shipped/networks");
/// What lies beside the cases of a network: its weights, and its configuration.
const BESIDE: [&str; 2] = ["model.safetensors", "config.json"];

/// A case: in a file, or inside the program.
pub(super) struct Source {
    path: PathBuf,
    /// The file, and the folder it ships in.
    shipped: Option<(&'static File<'static>, &'static Dir<'static>)>,
}

impl Source {
    /// What the case is called: a network's after its folder too.
    pub fn name(&self) -> String {
        let stem = |path: &Path| path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        match self.path.parent().filter(|folder| self.is_of_network(folder)) {
            Some(folder) => format!("{}/{}", stem(folder), stem(&self.path)),
            None => stem(&self.path),
        }
    }

    fn is_of_network(&self, folder: &Path) -> bool {
        match self.shipped {
            Some(_) => !folder.as_os_str().is_empty(),
            None => BESIDE.iter().all(|name| folder.join(name).is_file()),
        }
    }

    /// The case with its plan.
    pub fn planned(&self) -> Result<(Case, Plan)> {
        let case = match self.shipped {
            Some((file, folder)) => Case::parse_beside(&self.path, file.contents(), &|name| beside(file, folder, name))?,
            None => Case::read(&self.path)?,
        };
        let plan = case.operation.plan(PlanLimits::default())?;
        Ok((case, plan))
    }
}

/// A checkpoint that ships inside the program, beside a case.
fn beside(case: &File<'_>, folder: &Dir<'_>, name: &str) -> Result<Checkpoint> {
    let [path, description] = [name, BESIDE[1]].map(|name| case.path().with_file_name(name));
    let file = folder.get_file(&path).ok_or_else(|| Error::Metadata {
        key: "checkpoint",
        found: format!("{name:?}"),
        expected: "a checkpoint that ships inside the program".to_owned(),
    })?;
    let checkpoint = Checkpoint::parse(file.path(), file.contents().to_vec())?;
    let description = folder.get_file(&description).and_then(File::contents_utf8);
    Ok(match description {
        Some(text) => checkpoint.described(text.to_owned()),
        None => checkpoint,
    })
}

fn is_case(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors") && !path.ends_with(BESIDE[0])
}

/// The cases that are named, or those that ship, in order.
///
/// # Errors
/// [`Error::File`], and [`Error::Contents`] for folders without cases and names of nothing.
pub(super) fn sources(named: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = if named.is_empty() { shipped() } else { Vec::new() };
    for path in named {
        if !path.is_dir() {
            sources.push(if is_missing(path) { shipped_as(path)? } else { Source { path: path.clone(), shipped: None } });
            continue;
        }
        let before = sources.len();
        for entry in std::fs::read_dir(path).map_err(Error::file("read the folder", path))? {
            let file = entry.map_err(Error::file("read the folder", path))?.path();
            let is_beside_cases = file.ends_with(BESIDE[0]) && path.join(BESIDE[1]).is_file();
            if file.extension().is_some_and(|extension| extension == "safetensors") && !is_beside_cases {
                sources.push(Source { path: file, shipped: None });
            }
        }
        if sources.len() == before {
            return Err(Error::Contents { path: path.clone(), reason: "the folder has no .safetensors files".to_owned() });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn shipped() -> Vec<Source> {
    let of = |folder: &'static Dir<'static>| folder.files().map(move |file| (file, folder));
    let networks = NETWORKS.dirs().flat_map(|network| network.files().map(|file| (file, &NETWORKS)));
    let files = of(&SHIPPED).chain(of(&MODELS)).chain(networks).filter(|(file, _)| is_case(file.path()));
    files.map(|(file, folder)| Source { path: file.path().to_owned(), shipped: Some((file, folder)) }).collect()
}

fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// The case of this name that ships inside the program.
fn shipped_as(name: &Path) -> Result<Source> {
    let mut all = shipped();
    match all.iter().position(|source| Path::new(&source.name()) == name) {
        Some(found) => Ok(all.swap_remove(found)),
        None => Err(no_such_case(name, &all)),
    }
}

/// Most names in a message.
const MOST_NAMES: usize = 5;

fn no_such_case(name: &Path, all: &[Source]) -> Error {
    let names: Vec<String> = all.iter().map(Source::name).collect();
    let close = close_to(&name.with_extension("").to_string_lossy(), &names);
    let hint = match close.get(..MOST_NAMES) {
        _ if close.is_empty() => "`orthoformer check --list` names those".to_owned(),
        Some(first) if close.len() > MOST_NAMES => format!("similar are {} and others of `check --list`", first.join(", ")),
        _ => format!("similar are {}", close.join(", ")),
    };
    let reason =
        format!("no such case file; it is no folder either, nor the name of a case that ships inside the program; {hint}");
    Error::Contents { path: name.to_owned(), reason }
}

/// Names that contain the wanted one, or as much of it as some name contains, up to an underscore.
fn close_to<'n>(wanted: &str, names: &'n [String]) -> Vec<&'n str> {
    let wanted = wanted.to_lowercase();
    let mut part = wanted.as_str();
    while !part.is_empty() {
        let close: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.to_lowercase().contains(part)).collect();
        if !close.is_empty() {
            return close;
        }
        part = part.rsplit_once('_').map_or("", |(before, _)| before);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_what_they_begin_with() {
        let names = ["layer_joint_0", "layer_joint_1", "swin/case"].map(str::to_owned);
        assert_eq!(close_to("Joint", &names), ["layer_joint_0", "layer_joint_1"]);
        assert_eq!(close_to("layer_joint_7", &names), ["layer_joint_0", "layer_joint_1"]);
        assert_eq!(close_to("swin", &names), ["swin/case"]);
        assert!(close_to("nothere", &names).is_empty() && close_to("", &names).is_empty());
    }

    #[test]
    fn shipped_cases_go_by_their_names() {
        for source in shipped() {
            assert_eq!(shipped_as(Path::new(&source.name())).expect("named as it is").path, source.path);
        }
    }
}

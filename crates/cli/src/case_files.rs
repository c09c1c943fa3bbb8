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
/// [`Error::File`], and [`Error::Contents`] for folders without cases.
pub(super) fn sources(named: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = if named.is_empty() { shipped() } else { Vec::new() };
    for path in named {
        if !path.is_dir() {
            sources.push(Source { path: path.clone(), shipped: None });
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

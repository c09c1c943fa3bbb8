//! Approximations of attention, as classes.

use orthoformer::ops::Approximation;
use orthoformer::ops::approximation::{self, Candidates, Criterion, FeatureProjection, Greedy, Prototypes, Selection};
use orthoformer::{Error, Result};
use pyo3::prelude::*;

use super::failure::Failure;

/// Attention through prototypes (Patrick et al., NeurIPS 2021, algorithm 1).
#[pyclass(frozen, module = "orthoformer")]
pub struct Orthoformer {
    pub prototypes: Prototypes,
}

#[pymethods]
impl Orthoformer {
    #[new]
    #[pyo3(signature = (
        prototypes = 64, *, selection = "greedy", criterion = "sum", candidates = "queries", per_frame = false, normalise = true,
        fraction = 1.0, iterations = 5, seed = 0
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        prototypes: u32,
        selection: &str,
        criterion: &str,
        candidates: &str,
        per_frame: bool,
        normalise: bool,
        fraction: f64,
        iterations: u32,
        seed: u64,
    ) -> std::result::Result<Self, Failure> {
        let criterion = named("criterion", criterion, &[("sum", Criterion::Sum), ("max", Criterion::Max)])?;
        let candidates = named(
            "candidates",
            candidates,
            &[("queries", Candidates::Queries), ("queries-and-keys", Candidates::QueriesAndKeys)],
        )?;
        let greedy = Greedy { criterion, normalise, fraction, seed, ..Greedy::default() };
        let selections = [
            ("greedy", Selection::Greedy(greedy)),
            ("random", Selection::Random { seed }),
            ("segment-means", Selection::SegmentMeans),
            ("k-means", Selection::KMeans { iterations, seed, spherical: false }),
            ("spherical-k-means", Selection::KMeans { iterations, seed, spherical: true }),
        ];
        let selection = named("selection", selection, &selections)?;
        Ok(Self { prototypes: Prototypes { count: prototypes, candidates, selection, per_frame } })
    }

    fn __repr__(&self) -> String {
        format!("<{}>", Approximation::Orthoformer(self.prototypes.clone()))
    }
}

/// Attention through means of segments and a pseudo-inverse (Xiong et al., AAAI 2021).
#[pyclass(frozen, module = "orthoformer")]
pub struct Nystrom {
    nystrom: approximation::Nystrom,
}

#[pymethods]
impl Nystrom {
    #[new]
    #[pyo3(signature = (landmarks = 64, *, iterations = 6))]
    fn new(landmarks: u32, iterations: u32) -> Self {
        Self { nystrom: approximation::Nystrom { landmarks, iterations } }
    }

    fn __repr__(&self) -> String {
        format!("<{}>", Approximation::Nystrom(self.nystrom))
    }
}

/// Attention through positive random features (Choromanski et al., ICLR 2021).
#[pyclass(frozen, module = "orthoformer")]
pub struct Performer {
    performer: approximation::Performer,
}

#[pymethods]
impl Performer {
    #[new]
    #[pyo3(signature = (features = 256, *, seed = 0))]
    fn new(features: u32, seed: u64) -> Self {
        Self { performer: approximation::Performer { features, projection: FeatureProjection::Drawn { seed } } }
    }

    fn __repr__(&self) -> String {
        format!("<{}>", Approximation::Performer(self.performer))
    }
}

/// An argument that is one of these.
#[derive(FromPyObject)]
pub enum ApproximationArgument<'py> {
    Orthoformer(PyRef<'py, Orthoformer>),
    Nystrom(PyRef<'py, Nystrom>),
    Performer(PyRef<'py, Performer>),
}

impl ApproximationArgument<'_> {
    pub fn approximation(&self) -> Approximation {
        match self {
            Self::Orthoformer(given) => Approximation::Orthoformer(given.prototypes.clone()),
            Self::Nystrom(given) => Approximation::Nystrom(given.nystrom),
            Self::Performer(given) => Approximation::Performer(given.performer),
        }
    }
}

/// What a name stands for.
///
/// # Errors
/// [`Error::Argument`] with all names for another.
pub fn named<T: Clone>(what: &'static str, given: &str, known: &[(&str, T)]) -> Result<T> {
    let found = known.iter().find(|(name, _)| *name == given);
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        Error::Argument { what, given: given.to_owned(), expected: format!("one of {}", names.join(", ")) }
    })
}

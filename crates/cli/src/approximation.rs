//! Flags that choose an approximation.

use clap::{Args, ValueEnum};
use orthoformer::ops::approximation::{
    Approximation, Candidates, Criterion, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};
use orthoformer::{Error, Result};

#[derive(Args)]
#[command(next_help_heading = "Approximation")]
pub(super) struct ApproximationArgs {
    /// How attention is computed.
    #[arg(long, value_enum, hide_short_help = true)]
    approximation: Option<ApproximationName>,
    /// Prototypes (orthoformer) or landmarks (nystrom) [default: 64].
    #[arg(long, value_name = "R", requires = "approximation", hide_short_help = true)]
    prototypes: Option<u32>,
    /// How prototypes are chosen (orthoformer) [default: greedy].
    #[arg(long, value_enum, requires = "approximation", hide_short_help = true)]
    selection: Option<SelectionName>,
    /// Score of a candidate for greedy selection: the sum of its similarities to the prototypes so far, or the largest [default: sum].
    #[arg(long, value_enum, requires = "approximation", hide_short_help = true)]
    criterion: Option<CriterionName>,
    /// Greedy selection compares candidates as they are, not scaled to length one.
    #[arg(long, requires = "approximation", hide_short_help = true)]
    raw: bool,
    /// Part of the candidates that greedy selection looks at, drawn at random [default: 1].
    #[arg(long, value_name = "PART", requires = "approximation", hide_short_help = true)]
    fraction: Option<f64>,
    /// What prototypes are chosen from (orthoformer) [default: queries].
    #[arg(long, value_enum, requires = "approximation", hide_short_help = true)]
    candidates: Option<CandidatesName>,
    /// Prototypes for each frame instead of shared ones (orthoformer; not to follow a patch).
    #[arg(long, requires = "approximation", hide_short_help = true)]
    per_frame: bool,
    /// Iterations of the pseudo-inverse (nystrom) [default: 6] or of k-means [default: 5].
    #[arg(long, value_name = "N", requires = "approximation", hide_short_help = true)]
    iterations: Option<u32>,
    /// Random features (performer) [default: 256].
    #[arg(long, value_name = "M", requires = "approximation", hide_short_help = true)]
    features: Option<u32>,
    /// Seed of whatever an approximation draws [default: 0].
    #[arg(long, value_name = "SEED", requires = "approximation", hide_short_help = true)]
    approximation_seed: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ApproximationName {
    /// Every query compared with every key.
    Exact,
    /// Through prototypes.
    Orthoformer,
    /// Through segment means and a pseudo-inverse.
    Nystrom,
    /// Through positive random features.
    Performer,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SelectionName {
    /// Each the candidate least like those before.
    Greedy,
    /// Drawn at random.
    Random,
    /// Means of consecutive candidates.
    SegmentMeans,
    /// Means of clusters by distance.
    KMeans,
    /// Means of clusters by angle.
    SphericalKMeans,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CriterionName {
    Sum,
    Max,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CandidatesName {
    Queries,
    QueriesAndKeys,
}

impl ApproximationArgs {
    /// The approximation that the flags ask for, if they do.
    ///
    /// # Errors
    /// [`Error::Argument`] for a flag that the approximation does not take.
    pub fn wanted(&self) -> Result<Option<Approximation>> {
        let Some(name) = self.approximation else { return Ok(None) };
        let prototypes = self.prototypes.unwrap_or(64);
        self.check(name)?;
        Ok(Some(match name {
            ApproximationName::Exact => Approximation::Exact,
            ApproximationName::Orthoformer => Approximation::Orthoformer(Prototypes {
                count: prototypes,
                candidates: match self.candidates {
                    Some(CandidatesName::QueriesAndKeys) => Candidates::QueriesAndKeys,
                    Some(CandidatesName::Queries) | None => Candidates::Queries,
                },
                selection: self.selection(),
                per_frame: self.per_frame,
            }),
            ApproximationName::Nystrom => {
                Approximation::Nystrom(Nystrom { landmarks: prototypes, iterations: self.iterations.unwrap_or(6) })
            }
            ApproximationName::Performer => Approximation::Performer(Performer {
                features: self.features.unwrap_or(256),
                projection: FeatureProjection::Drawn { seed: self.approximation_seed.unwrap_or(0) },
            }),
        }))
    }

    /// Refuses flags that would do nothing.
    fn check(&self, name: ApproximationName) -> Result<()> {
        let orthoformer = name == ApproximationName::Orthoformer;
        let selection = self.selection.unwrap_or(SelectionName::Greedy);
        let greedy = orthoformer && selection == SelectionName::Greedy;
        let clusters = orthoformer && matches!(selection, SelectionName::KMeans | SelectionName::SphericalKMeans);
        let nystrom = name == ApproximationName::Nystrom;
        let draws = name == ApproximationName::Performer || (orthoformer && selection != SelectionName::SegmentMeans);
        let flags = [
            ("--prototypes", self.prototypes.is_some(), orthoformer || nystrom, "orthoformer or nystrom"),
            ("--selection", self.selection.is_some(), orthoformer, "orthoformer"),
            ("--candidates", self.candidates.is_some(), orthoformer, "orthoformer"),
            ("--per-frame", self.per_frame, orthoformer, "orthoformer"),
            ("--criterion", self.criterion.is_some(), greedy, "orthoformer with greedy selection"),
            ("--raw", self.raw, greedy, "orthoformer with greedy selection"),
            ("--fraction", self.fraction.is_some(), greedy, "orthoformer with greedy selection"),
            ("--iterations", self.iterations.is_some(), nystrom || clusters, "nystrom, or orthoformer with k-means"),
            ("--features", self.features.is_some(), name == ApproximationName::Performer, "performer"),
            ("--approximation-seed", self.approximation_seed.is_some(), draws, "an approximation that draws"),
        ];
        match flags.into_iter().find(|(_, given, taken, _)| *given && !taken) {
            Some((what, _, _, takes)) => {
                let approximation = name.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
                let given = format!("given with --approximation {approximation}");
                Err(Error::Argument { what, given, expected: format!("it with {takes} only") })
            }
            None => Ok(()),
        }
    }

    fn selection(&self) -> Selection {
        let (seed, iterations) = (self.approximation_seed.unwrap_or(0), self.iterations.unwrap_or(5));
        let criterion = match self.criterion {
            Some(CriterionName::Max) => Criterion::Max,
            Some(CriterionName::Sum) | None => Criterion::Sum,
        };
        match self.selection {
            Some(SelectionName::Greedy) | None => {
                let (fraction, normalise) = (self.fraction.unwrap_or(1.0), !self.raw);
                Selection::Greedy(Greedy { criterion, normalise, fraction, seed, ..Greedy::default() })
            }
            Some(SelectionName::Random) => Selection::Random { seed },
            Some(SelectionName::SegmentMeans) => Selection::SegmentMeans,
            Some(SelectionName::KMeans) => Selection::KMeans { iterations, seed, spherical: false },
            Some(SelectionName::SphericalKMeans) => Selection::KMeans { iterations, seed, spherical: true },
        }
    }
}

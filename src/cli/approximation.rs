//! Flags that choose an approximation.

use clap::{Args, ValueEnum};

use crate::ops::approximation::{
    Approximation, Candidates, Criterion, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};

#[derive(Args)]
#[command(next_help_heading = "Approximation")]
pub(super) struct ApproximationArgs {
    /// How attention is computed.
    #[arg(long, value_enum)]
    approximation: Option<ApproximationName>,
    /// Prototypes (orthoformer) or landmarks (nystrom).
    #[arg(long, value_name = "R", default_value_t = 64, requires = "approximation")]
    prototypes: u32,
    /// How prototypes are chosen (orthoformer).
    #[arg(long, value_enum, default_value_t = SelectionName::Greedy, requires = "approximation")]
    selection: SelectionName,
    /// Score of a candidate for greedy selection: the sum of its likenesses to the prototypes so far, or the largest.
    #[arg(long, value_enum, default_value_t = CriterionName::Sum, requires = "approximation")]
    criterion: CriterionName,
    /// What prototypes are chosen from.
    #[arg(long, value_enum, default_value_t = CandidatesName::Queries, requires = "approximation")]
    candidates: CandidatesName,
    /// Part of the candidates that greedy selection looks at, drawn at random.
    #[arg(long, value_name = "PART", default_value_t = 1.0, requires = "approximation")]
    fraction: f64,
    /// Prototypes for each frame instead of shared ones.
    #[arg(long, requires = "approximation")]
    per_frame: bool,
    /// Iterations of the pseudo-inverse [default: 6] or of k-means [default: 5].
    #[arg(long, value_name = "N", requires = "approximation")]
    iterations: Option<u32>,
    /// Random features (performer).
    #[arg(long, value_name = "M", default_value_t = 256, requires = "approximation")]
    features: u32,
    /// Seed of whatever an approximation draws.
    #[arg(long, value_name = "SEED", default_value_t = 0, requires = "approximation")]
    approximation_seed: u64,
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
    pub fn wanted(&self) -> Option<Approximation> {
        Some(match self.approximation? {
            ApproximationName::Exact => Approximation::Exact,
            ApproximationName::Orthoformer => Approximation::Orthoformer(Prototypes {
                count: self.prototypes,
                candidates: match self.candidates {
                    CandidatesName::Queries => Candidates::Queries,
                    CandidatesName::QueriesAndKeys => Candidates::QueriesAndKeys,
                },
                selection: self.selection(),
                per_frame: self.per_frame,
            }),
            ApproximationName::Nystrom => {
                Approximation::Nystrom(Nystrom { landmarks: self.prototypes, iterations: self.iterations.unwrap_or(6) })
            }
            ApproximationName::Performer => Approximation::Performer(Performer {
                features: self.features,
                projection: FeatureProjection::Drawn { seed: self.approximation_seed },
            }),
        })
    }

    fn selection(&self) -> Selection {
        let (seed, iterations) = (self.approximation_seed, self.iterations.unwrap_or(5));
        let criterion = match self.criterion {
            CriterionName::Sum => Criterion::Sum,
            CriterionName::Max => Criterion::Max,
        };
        match self.selection {
            SelectionName::Greedy => Selection::Greedy(Greedy { criterion, fraction: self.fraction, seed, ..Greedy::default() }),
            SelectionName::Random => Selection::Random { seed },
            SelectionName::SegmentMeans => Selection::SegmentMeans,
            SelectionName::KMeans => Selection::KMeans { iterations, seed, spherical: false },
            SelectionName::SphericalKMeans => Selection::KMeans { iterations, seed, spherical: true },
        }
    }
}

//! What approximations lose and save against exact attention: on clips, by counting at given sizes, and in a trained network; and several networks side by side.

mod claims;
mod clip;
mod long;
mod measure;
mod networks;
mod trained;

pub use claims::{AtEqualError, Claims, Tally, claims};
pub use clip::ClipProblem;
pub use long::{LongRow, long};
pub use measure::{Row, Study, measure};
pub use networks::{NetworkRow, networks};
pub use trained::{TrainedRow, TrainedStudy, trained};

use orthoformer::ops::approximation::{
    Approximation, Candidates, Criterion, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};

/// Iterations of Lloyd's algorithm, and of the pseudo-inverse (published).
const CLUSTERING_ITERATIONS: u32 = 5;
const INVERSE_ITERATIONS: u32 = 6;

/// An approximation, but for its number of prototypes, landmarks or features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Orthoformer with greedy prototypes by the sum of similarities (the paper).
    OrthogonalSum,
    /// Orthoformer with greedy prototypes by the largest similarity (the published code).
    OrthogonalMax,
    /// Orthoformer with segment means as prototypes.
    SegmentMeans,
    /// Orthoformer with prototypes drawn at random.
    Random,
    /// Orthoformer with means of clusters as prototypes.
    KMeans,
    /// Orthoformer with means of clusters by angle as prototypes.
    SphericalKMeans,
    /// Nyström attention.
    Nystrom,
    /// Performer attention.
    Performer,
}

impl Method {
    /// All methods, in the order of tables.
    pub const ALL: [Self; 8] = [
        Self::OrthogonalSum,
        Self::OrthogonalMax,
        Self::SegmentMeans,
        Self::Random,
        Self::KMeans,
        Self::SphericalKMeans,
        Self::Nystrom,
        Self::Performer,
    ];

    /// The method's name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrthogonalSum => "orthogonal, sum",
            Self::OrthogonalMax => "orthogonal, max",
            Self::SegmentMeans => "segment means",
            Self::Random => "random",
            Self::KMeans => "k-means",
            Self::SphericalKMeans => "spherical k-means",
            Self::Nystrom => "Nystrom",
            Self::Performer => "Performer",
        }
    }

    /// The approximation with `count` prototypes, landmarks or features.
    pub fn approximation(self, count: u32, seed: u64) -> Approximation {
        let greedy = |criterion| Selection::Greedy(Greedy { criterion, seed, ..Greedy::default() });
        let clusters = |spherical| Selection::KMeans { iterations: CLUSTERING_ITERATIONS, seed, spherical };
        let selection = match self {
            Self::OrthogonalSum => greedy(Criterion::Sum),
            Self::OrthogonalMax => greedy(Criterion::Max),
            Self::SegmentMeans => Selection::SegmentMeans,
            Self::Random => Selection::Random { seed },
            Self::KMeans => clusters(false),
            Self::SphericalKMeans => clusters(true),
            Self::Nystrom => {
                return Approximation::Nystrom(Nystrom { landmarks: count, iterations: INVERSE_ITERATIONS });
            }
            Self::Performer => {
                let projection = FeatureProjection::Drawn { seed };
                return Approximation::Performer(Performer { features: count, projection });
            }
        };
        Approximation::Orthoformer(Prototypes { count, candidates: Candidates::Queries, selection, per_frame: false })
    }
}

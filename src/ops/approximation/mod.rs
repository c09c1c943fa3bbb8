//! Approximations of trajectory attention, and of attention over one sequence.
//!
//! All of them use `R` landmarks or features instead of comparing every query with every key:
//!
//! - *Orthoformer* (Patrick et al., NeurIPS 2021, algorithm 1): `R` prototypes `p`, chosen among queries (and keys);
//!   `m[r,f] = sum_s softmax_s(p_r . k_{f,s} / sqrt D) v_{f,s}` and `t[n,f] = sum_r softmax_r(q_n . p_r / sqrt D) m[r,f]`.
//! - *Nystrom* (Xiong et al., AAAI 2021): landmarks are means of segments, and between the two products stands the pseudo-inverse of the
//!   landmarks' own attention, by iteration.
//! - *Performer* (Choromanski et al., ICLR 2021): positive random features `phi`, so that `exp(q . k / sqrt D)` becomes `phi(q) . phi(k)`.
//!
//! With one frame, trajectory tokens are attention over one sequence.

mod clusters;
mod greedy;
mod mixture;
mod nystrom;
mod operands;
mod performer;
mod prototypes;

pub use crate::reference::direct::Criterion;
pub(crate) use greedy::drawn_candidates;
pub(super) use operands::{Problem, Sizes};
use prototypes::groups_and_candidates;
pub(super) use prototypes::{PrototypeBuffers, candidate_elements};

use crate::error::{Error, Result};
use crate::ops::chunks::Chunk;
use crate::plan::{Dispatch, PlanBuilder, Stage};
use crate::view::View;
use mixture::Mixture;
use nystrom::NystromBuffers;
pub(super) use performer::PerformerBuffers;

/// How attention is computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Approximation {
    /// Every query compared with every key.
    #[default]
    Exact,
    /// Through prototypes chosen among queries and keys.
    Orthoformer(Prototypes),
    /// Through means of segments and a pseudo-inverse.
    Nystrom(Nystrom),
    /// Through positive random features.
    Performer(Performer),
}

/// Prototypes: how many, from what, and how they are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Prototypes {
    /// `R`: prototypes of each group.
    pub count: u32,
    /// What they are chosen from.
    pub candidates: Candidates,
    /// How they are chosen.
    pub selection: Selection,
    /// Whether each frame has prototypes of its own, chosen from its own tokens; otherwise all frames of a sequence share them. With
    /// prototypes of its own, a query goes through those of its own frame.
    pub per_frame: bool,
}

/// What prototypes are chosen from. A candidate's index counts the queries from 0, then the keys; with prototypes per frame, those of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Candidates {
    /// Queries.
    Queries,
    /// Queries and keys.
    QueriesAndKeys,
}

/// How prototypes are chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// Each the candidate that is least like those before.
    Greedy(Greedy),
    /// Different candidates, drawn at random.
    Random {
        /// Seed of the draw.
        seed: u64,
    },
    /// Means of consecutive candidates in patch-major order.
    SegmentMeans,
    /// Means of clusters: some iterations of Lloyd's algorithm from candidates drawn at random.
    KMeans {
        /// Iterations.
        iterations: u32,
        /// Seed of the draw.
        seed: u64,
        /// Clusters by angle instead of distance; the prototypes are the means of the candidates as they are.
        spherical: bool,
    },
    /// These candidates: `R` indices for each group, groups numbered `(b * heads + h) * frames + f` (without frames if shared).
    Given(Vec<u32>),
}

/// Greedy selection: from a start, it adds the candidate with the lowest score, which is its similarity to the earlier picks (the size
/// of dot products). Ties go to the lowest index. The prototypes are the candidates as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Greedy {
    /// How similarities become a score.
    pub criterion: Criterion,
    /// Whether candidates are compared after scaling them to length one; rows shorter than 1e-12 count as zero.
    pub normalise: bool,
    /// Fraction of the candidates that is drawn at random, above 0 and at most 1 (rounded down, at least `R` candidates).
    pub fraction: f64,
    /// First pick of each group, or one for all groups; drawn at random if not given.
    pub start: Option<Vec<u32>>,
    /// Seed of the draws.
    pub seed: u64,
    /// Layout of the selection in dispatches.
    pub schedule: Schedule,
}

impl Greedy {
    /// Returns the given first pick of a group.
    pub(crate) fn first_pick(&self, group: u32) -> Option<u32> {
        match self.start.as_deref()? {
            [one] => Some(*one),
            all => all.get(group as usize).copied(),
        }
    }
}

impl Default for Greedy {
    /// The paper's criterion over all candidates, scaled to length one, from a start drawn with seed 0.
    fn default() -> Self {
        Self { criterion: Criterion::Sum, normalise: true, fraction: 1.0, start: None, seed: 0, schedule: Schedule::Automatic }
    }
}

/// Layout of a greedy selection in dispatches. Picks are the same in all layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Schedule {
    /// By sizes and limits.
    #[default]
    Automatic,
    /// One workgroup a group makes pick after pick.
    Looping,
    /// Several workgroups share a group's candidates, a dispatch a pick.
    Stepping,
}

/// Nyström attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nystrom {
    /// Segments, whose means are the landmarks. Where they do not divide the tokens, the last ones are one token longer.
    pub landmarks: u32,
    /// Iterations of the pseudo-inverse; published: 6.
    pub iterations: u32,
}

/// Performer attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Performer {
    /// `M`: random features.
    pub features: u32,
    /// Where the projection `[M, D]` comes from.
    pub projection: FeatureProjection,
}

/// Where the projection for random features comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureProjection {
    /// The input `projection [M, D]`.
    Given,
    /// Drawn: orthogonal blocks, lengths distributed as those of Gaussian vectors.
    Drawn {
        /// Seed of the draw.
        seed: u64,
    },
}

impl Approximation {
    /// The approximation's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Orthoformer(_) => "orthoformer",
            Self::Nystrom(_) => "nystrom",
            Self::Performer(_) => "performer",
        }
    }
}

impl std::fmt::Display for Approximation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact => write!(f, "exact"),
            Self::Orthoformer(prototypes) => {
                let each = if prototypes.per_frame { " a frame" } else { "" };
                write!(f, "orthoformer, {} prototypes{each} ({})", prototypes.count, prototypes.selection)
            }
            Self::Nystrom(nystrom) => write!(f, "nystrom, {} landmarks", nystrom.landmarks),
            Self::Performer(performer) => write!(f, "performer, {} features", performer.features),
        }
    }
}

impl std::fmt::Display for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Greedy(Greedy { criterion: Criterion::Sum, .. }) => "greedy, sum",
            Self::Greedy(Greedy { criterion: Criterion::Max, .. }) => "greedy, max",
            Self::Random { .. } => "random",
            Self::SegmentMeans => "segment means",
            Self::KMeans { spherical: false, .. } => "k-means",
            Self::KMeans { spherical: true, .. } => "spherical k-means",
            Self::Given(_) => "given",
        })
    }
}

/// An approximation being planned: its buffers, for as many batch items as go through it together.
#[allow(clippy::large_enum_variant, reason = "made once a plan")]
pub(super) enum Approximator {
    Orthoformer { prototypes: PrototypeBuffers, mixture: Mixture },
    Nystrom(NystromBuffers),
    Performer(PerformerBuffers),
}

impl Approximator {
    /// Checks the approximation and adds its buffers; `None` if attention is exact. `rows` is the most queries of a chunk.
    pub fn new(builder: &mut PlanBuilder, approximation: &Approximation, sizes: &Sizes, rows: u32) -> Result<Option<Self>> {
        Ok(Some(match approximation {
            Approximation::Exact => return Ok(None),
            Approximation::Orthoformer(spec) => {
                let [groups, _] = groups_and_candidates(spec, sizes)?;
                let mixture = Mixture::new(builder, sizes, [spec.count, groups, rows], candidate_elements(spec, sizes)?)?;
                let prototypes = PrototypeBuffers::new(builder, spec, sizes, mixture.weights)?;
                Self::Orthoformer { prototypes, mixture }
            }
            Approximation::Nystrom(spec) => Self::Nystrom(NystromBuffers::new(builder, spec, sizes, rows)?),
            Approximation::Performer(spec) => Self::Performer(PerformerBuffers::new(builder, spec, sizes, rows)?),
        }))
    }

    /// What comes before the tokens of any query: landmarks and what they see.
    pub fn prepare(&self, builder: &PlanBuilder, problem: &Problem) -> Result<Vec<Stage>> {
        match self {
            Self::Orthoformer { prototypes, mixture } => {
                let mut stages = prototypes.plan(builder, problem, mixture.landmarks)?;
                let landmarks = mixture.landmarks(problem);
                let seen = mixture.summarise(builder, problem, landmarks, mixture.summaries)?;
                stages.extend(seen.into_iter().map(Stage::Kernel));
                Ok(stages)
            }
            Self::Nystrom(buffers) => buffers.prepare(builder, problem),
            Self::Performer(buffers) => buffers.prepare(builder, problem),
        }
    }

    /// The trajectory tokens of a chunk's queries, into `out [items, heads, rows, F, D]`.
    pub fn tokens(&self, builder: &PlanBuilder, problem: &Problem, chunk: &Chunk, out: View) -> Result<Vec<Dispatch>> {
        match self {
            Self::Orthoformer { mixture, .. } => mixture.tokens(builder, problem, chunk, out),
            Self::Nystrom(buffers) => buffers.mixture.tokens(builder, problem, chunk, out),
            Self::Performer(buffers) => buffers.tokens(builder, problem, chunk, out),
        }
    }
}

/// Elements that the largest scratch buffers of an approximation hold: for each query of a chunk, and for each batch item of `heads` heads.
pub(super) fn scratch_elements(approximation: &Approximation, sizes: &Sizes) -> (u64, u64) {
    let [heads, frames, tokens, size] = [sizes.heads, sizes.frames, sizes.tokens(), sizes.head_size].map(u64::from);
    // Elements of a query, and of a head.
    let (row, head) = match approximation {
        Approximation::Exact => (0, 0),
        Approximation::Orthoformer(spec) => {
            let count = u64::from(spec.count);
            let landmarks = count.saturating_mul(if spec.per_frame { frames } else { 1 });
            let candidates = 2 * tokens * size.next_multiple_of(16);
            (count, candidates.max(landmarks.saturating_mul(frames * size)))
        }
        Approximation::Nystrom(spec) => {
            let count = u64::from(spec.landmarks);
            (count, (count * count).max(count.saturating_mul(frames * size)))
        }
        Approximation::Performer(spec) => {
            let features = u64::from(spec.features);
            (features, (tokens * features).max(features.saturating_mul(frames * size)))
        }
    };
    (heads.saturating_mul(row), heads.saturating_mul(head))
}

/// `count`, if it is at least one and at most `most`.
fn within(what: &'static str, count: u32, most: u64) -> Result<u32> {
    match count {
        0 => Err(Error::ZeroSize { what }),
        _ if u64::from(count) > most => Err(Error::TooLarge { what, given: count.into(), most }),
        _ => Ok(count),
    }
}

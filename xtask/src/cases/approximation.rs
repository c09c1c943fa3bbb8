//! How trajectory tokens are computed: exactly, or by an approximation.

use super::Result;
use super::attention::Head;
use super::file::Case;
use super::matrix::Matrix;
use super::prototypes::Prototypes;
use super::tensor::Tensor;
use super::{nystrom, performer};

/// Iterations of the pseudo-inverse where metadata has none.
const ITERATIONS: usize = 6;

/// A way to trajectory tokens.
#[derive(Clone, Debug)]
pub enum Approximation {
    /// Every query with every key.
    Exact,
    /// Through greedy prototypes.
    Orthoformer(Prototypes),
    /// Through means of segments.
    Nystrom { landmarks: usize, iterations: usize },
    /// Through random features.
    Performer { projection: Matrix },
}

/// Trajectory tokens of all heads.
#[derive(Clone, Debug, Default)]
pub struct Trajectories {
    /// For each head, a matrix `[N,D]` for each frame.
    pub heads: Vec<Vec<Matrix>>,
    /// Picks of a selection, `[B*H,R]` or `[B*H,F,R]`.
    pub indices: Option<Tensor>,
}

impl Approximation {
    /// The approximation that a case's metadata names, for heads of `size` columns.
    pub fn of_case(case: &Case, size: usize) -> Result<Self> {
        let names = ["exact", "orthoformer", "nystrom", "performer"];
        Ok(match case.choice("approximation", &names, Some("exact"))? {
            "orthoformer" => Self::Orthoformer(Prototypes::of_case(case, "prototypes")?),
            "nystrom" => Self::Nystrom {
                landmarks: case.count("prototypes", None)?,
                iterations: case.count("iterations", Some(ITERATIONS))?,
            },
            "performer" => {
                let [features, _] = case.tensor("projection")?.sizes("projection")?;
                let projection = case.shaped("projection", &[features, size])?;
                let projection = Matrix::from_fn(features, size, |row, column| projection.values[row * size + column]);
                Self::Performer { projection }
            }
            _ => Self::Exact,
        })
    }

    /// Trajectory tokens of heads that lie batch item by batch item.
    pub fn trajectories(&self, heads: &[Head]) -> Result<Trajectories> {
        let mut tokens = Trajectories::default();
        let mut picks = Vec::new();
        for (index, head) in heads.iter().enumerate() {
            tokens.heads.push(match self {
                Self::Exact => head.trajectories(),
                Self::Orthoformer(prototypes) => {
                    let (by_frame, chosen) = prototypes.trajectories(head, index, heads.len())?;
                    picks.extend(chosen);
                    by_frame
                }
                Self::Nystrom { landmarks, iterations } => nystrom::trajectories(head, *landmarks, *iterations)?,
                Self::Performer { projection } => performer::trajectories(head, projection),
            });
        }
        if let (Self::Orthoformer(prototypes), [first, ..]) = (self, heads) {
            let shape = match prototypes.per_frame {
                true => vec![heads.len(), first.frames, prototypes.count],
                false => vec![heads.len(), prototypes.count],
            };
            tokens.indices = Some(Tensor::indices(shape, &picks));
        }
        Ok(tokens)
    }
}

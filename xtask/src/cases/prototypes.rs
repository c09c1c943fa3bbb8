//! Greedy orthogonal prototypes, and attention through them (Patrick et al., NeurIPS 2021, algorithm 1).
//!
//! Candidates `x_i` are the queries, or the queries and then the keys. They are compared at unit length; one shorter
//! than 1e-12 counts as zero. The first prototype is given. Each further one is the candidate, not yet taken, with the
//! lowest score over those before; of equal scores, the lowest row:
//!
//! ```text
//! score_i = sum_j |x_i . p_j|   (sum, the paper)      score_i = max_j |x_i . p_j|   (max, the published code)
//! ```
//!
//! Prototypes are the candidates as they are. Attention goes through them:
//!
//! ```text
//! m[r,f] = sum_s softmax_s(p_r . k_{f,s} / sqrt D) v_{f,s}        t[n,f] = sum_r softmax_r(q_n . p_r / sqrt D) m[r,f]
//! ```
//!
//! With prototypes per frame, each frame chooses among its own tokens, and a query goes through those of its own frame.

use super::Result;
use super::attention::{Head, attend};
use super::file::Case;
use super::matrix::{Matrix, dot};

/// Length below which a candidate counts as zero.
const SHORTEST: f64 = 1e-12;

/// How prototypes are chosen.
#[derive(Clone, Debug)]
pub struct Prototypes {
    /// `R`: prototypes of each group.
    pub count: usize,
    /// Whether each frame has prototypes of its own.
    pub per_frame: bool,
    /// Whether keys are candidates too.
    with_keys: bool,
    /// The largest similarity is the score, not the sum.
    by_max: bool,
    /// Whether candidates are compared at unit length.
    normalise: bool,
    /// First prototype of each group, or one for all of them.
    start: Vec<usize>,
}

impl Prototypes {
    /// The choice that a case's metadata describes, with the key for how many.
    pub fn of_case(case: &Case, count: &str) -> Result<Self> {
        case.choice("selection", &["greedy"], Some("greedy"))?;
        let start = &case.tensor("start")?.values;
        if let Some(wrong) = start.iter().find(|start| start.fract() != 0.0 || **start < 0.0) {
            return Err(format!("{wrong} in \"start\"; rows are numbered from 0"));
        }
        Ok(Self {
            count: case.count(count, None)?,
            per_frame: case.flag("per_frame", false)?,
            with_keys: case.choice("candidates", &["queries", "queries_and_keys"], Some("queries"))? == "queries_and_keys",
            by_max: case.choice("criterion", &["sum", "max"], Some("sum"))? == "max",
            normalise: case.flag("normalise", true)?,
            start: start.iter().map(|&start| start as usize).collect(),
        })
    }

    /// The rows that one of `groups` groups chooses among its candidates.
    pub fn select(&self, candidates: &Matrix, group: usize, groups: usize) -> Result<Vec<usize>> {
        let rows = candidates.rows();
        let start = match *self.start {
            [start] => start,
            _ if self.start.len() == groups => self.start[group],
            _ => return Err(format!("{} elements in \"start\" for {groups} groups of candidates", self.start.len())),
        };
        if start >= rows || self.count > rows {
            return Err(format!("{} prototypes from row {start} of {rows} candidates", self.count));
        }
        Ok(self.greedy(candidates, start))
    }

    fn greedy(&self, candidates: &Matrix, start: usize) -> Vec<usize> {
        let compared = if self.normalise { unit_rows(candidates) } else { candidates.clone() };
        let mut picks = vec![start];
        let mut scores = vec![0.0_f64; compared.rows()];
        while picks.len() < self.count {
            let last = compared.row(picks[picks.len() - 1]);
            for (row, score) in scores.iter_mut().enumerate() {
                let similarity = dot(compared.row(row), last).abs();
                *score = if self.by_max { score.max(similarity) } else { *score + similarity };
            }
            let free = (0..scores.len()).filter(|row| !picks.contains(row));
            picks.extend(free.min_by(|&a, &b| scores[a].total_cmp(&scores[b])));
        }
        picks
    }

    /// Trajectory tokens of the head number `index` of `heads`, and the picks of its groups one after the other.
    pub fn trajectories(&self, head: &Head, index: usize, heads: usize) -> Result<(Vec<Matrix>, Vec<usize>)> {
        let groups = if self.per_frame { head.frames } else { 1 };
        let tokens = head.q.rows() / groups;
        let mut by_frame = vec![head.q.row_range(0..0); head.frames];
        let mut picks = Vec::new();
        for group in 0..groups {
            let own = group * tokens..(group + 1) * tokens;
            let queries = head.q.row_range(own.clone());
            let candidates = if self.with_keys { queries.above(&head.k.row_range(own)) } else { queries.clone() };
            let chosen = self.select(&candidates, index * groups + group, heads * groups)?;
            let prototypes = candidates.pick(&chosen);
            for (tokens, summary) in by_frame.iter_mut().zip(head.attend_frames(&prototypes)) {
                *tokens = tokens.above(&attend(&queries, &prototypes, &summary));
            }
            picks.extend(chosen);
        }
        Ok((by_frame, picks))
    }
}

/// Each row at unit length; one shorter than [`SHORTEST`] as zero.
fn unit_rows(rows: &Matrix) -> Matrix {
    let lengths: Vec<f64> = (0..rows.rows()).map(|row| dot(rows.row(row), rows.row(row)).sqrt()).collect();
    Matrix::from_fn(rows.rows(), rows.columns(), |row, column| match lengths[row] {
        length if length < SHORTEST => 0.0,
        length => rows.at(row, column) / length,
    })
}

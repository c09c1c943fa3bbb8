//! Attention and trajectory attention, exact.
//!
//! Attention of queries `q [N,D]` over keys `k [M,D]` and values `v [M,D]`:
//!
//! ```text
//! y_n = sum_m softmax_m(q_n . k_m / sqrt D) v_m
//! ```
//!
//! Trajectory tokens are attention over each frame alone; `k_f` and `v_f` are the `S` rows of frame `f`, rows `f S ..
//! (f + 1) S`:
//!
//! ```text
//! t[n,f] = sum_s softmax_s(q_n . k_{f,s} / sqrt D) v_{f,s}
//! ```

use super::Result;
use super::file::Case;
use super::matrix::Matrix;

/// Queries, keys and values of one head, `[N,D]` each, with tokens frame by frame.
#[derive(Clone, Debug)]
pub struct Head {
    /// Queries.
    pub q: Matrix,
    /// Keys.
    pub k: Matrix,
    /// Values.
    pub v: Matrix,
    /// `F`, which divides `N`.
    pub frames: usize,
}

/// Sizes of `q`, `k` and `v`, `[B,H,N,D]`.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// `B`.
    pub batch: usize,
    /// `H`.
    pub heads: usize,
    /// `N`.
    pub tokens: usize,
    /// `D`.
    pub size: usize,
}

impl Head {
    /// The heads of a case, batch item by batch item, with the sizes of its queries.
    pub fn of_case(case: &Case, frames: usize) -> Result<(Sizes, Vec<Self>)> {
        let q = case.tensor("q")?;
        let [batch, heads, tokens, size] = q.sizes("q")?;
        let (k, v) = (case.shaped("k", &q.shape)?, case.shaped("v", &q.shape)?);
        check_frames(tokens, frames)?;
        let rows = q.matrices().into_iter().zip(k.matrices()).zip(v.matrices());
        let all = rows.map(|((q, k), v)| Self { q, k, v, frames }).collect();
        Ok((Sizes { batch, heads, tokens, size }, all))
    }

    /// `S`: tokens of a frame.
    pub fn patches(&self) -> usize {
        self.k.rows() / self.frames
    }

    /// Keys and values of one frame.
    pub fn frame(&self, frame: usize) -> (Matrix, Matrix) {
        let rows = frame * self.patches()..(frame + 1) * self.patches();
        (self.k.row_range(rows.clone()), self.v.row_range(rows))
    }

    /// `t[n,f]`, a matrix `[N,D]` for each frame.
    pub fn trajectories(&self) -> Vec<Matrix> {
        self.attend_frames(&self.q)
    }

    /// Attention of given queries over each frame alone.
    pub fn attend_frames(&self, queries: &Matrix) -> Vec<Matrix> {
        let attend_frame = |frame| {
            let (k, v) = self.frame(frame);
            attend(queries, &k, &v)
        };
        (0..self.frames).map(attend_frame).collect()
    }
}

/// Whether `frames` divides `tokens`.
pub fn check_frames(tokens: usize, frames: usize) -> Result<()> {
    match tokens.is_multiple_of(frames) {
        true => Ok(()),
        false => Err(format!("{tokens} tokens do not divide into {frames} frames")),
    }
}

/// `softmax(q k' / sqrt D)`.
pub fn weights(q: &Matrix, k: &Matrix) -> Matrix {
    let scale = 1.0 / (q.columns() as f64).sqrt();
    q.times_transposed(k).scaled(scale).softmax()
}

/// `softmax(q k' / sqrt D) v`.
pub fn attend(q: &Matrix, k: &Matrix, v: &Matrix) -> Matrix {
    weights(q, k).times(v)
}

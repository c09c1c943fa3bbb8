//! Nyström attention (Xiong et al., AAAI 2021).
//!
//! Landmarks `lq` and `lk` are the means of `R` segments of queries and keys. Segments are consecutive in patch-major
//! order, all frames of a patch before the next patch. Where `R` does not divide the tokens, the last segments are one
//! token longer.
//!
//! ```text
//! t[:,f] = softmax(q lk' / sqrt D) pinv(softmax(lq lk' / sqrt D)) softmax(lq k_f' / sqrt D) v_f
//! ```
//!
//! The pseudo-inverse of `A` is iterated, from `V = A' / (largest row sum * largest column sum of |A|)`:
//!
//! ```text
//! V <- V (13 I - A V (15 I - A V (7 I - A V))) / 4
//! ```

use super::Result;
use super::attention::{Head, weights};
use super::matrix::Matrix;

/// Trajectory tokens through so many landmarks, with so many iterations of the pseudo-inverse.
pub fn trajectories(head: &Head, landmarks: usize, iterations: usize) -> Result<Vec<Matrix>> {
    if landmarks > head.q.rows() {
        return Err(format!("{landmarks} landmarks of {} tokens", head.q.rows()));
    }
    let (lq, lk) = (segment_means(&head.q, head.frames, landmarks), segment_means(&head.k, head.frames, landmarks));
    let inverse = pseudo_inverse(&weights(&lq, &lk), iterations);
    let shares = weights(&head.q, &lk).times(&inverse);
    Ok(head.attend_frames(&lq).iter().map(|seen| shares.times(seen)).collect())
}

/// Means of `count` segments of tokens that lie frame by frame.
fn segment_means(tokens: &Matrix, frames: usize, count: usize) -> Matrix {
    let (patches, length) = (tokens.rows() / frames, tokens.rows() / count);
    let long = tokens.rows() % count;
    let start = |segment: usize| segment * length + segment.saturating_sub(count - long);
    // Token number `t` in patch-major order is patch `t / frames` of frame `t % frames`.
    let row = |token: usize| token % frames * patches + token / frames;
    Matrix::from_fn(count, tokens.columns(), |segment, column| {
        let segment = start(segment)..start(segment + 1);
        let length = segment.len() as f64;
        segment.map(|token| tokens.at(row(token), column)).sum::<f64>() / length
    })
}

fn pseudo_inverse(a: &Matrix, iterations: usize) -> Matrix {
    let transposed = a.transposed();
    let identity = Matrix::identity(a.rows());
    // `factor I - B`.
    let from_identity = |factor: f64, b: &Matrix| identity.scaled(factor).plus(&b.scaled(-1.0));
    let mut v = transposed.scaled(1.0 / (a.largest_row_sum() * transposed.largest_row_sum()));
    for _ in 0..iterations {
        let av = a.times(&v);
        let inner = av.times(&from_identity(7.0, &av));
        let outer = av.times(&from_identity(15.0, &inner));
        v = v.times(&from_identity(13.0, &outer)).scaled(0.25);
    }
    v
}

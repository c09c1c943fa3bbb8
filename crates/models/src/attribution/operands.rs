//! What one token attends to, computed on the host from queries and keys that a network hands out.
//!
//! ```text
//! weights[j] = mean over heads of softmax_j(q . k_j / sqrt D + bias_j)
//! ```

use orthoformer::Tensor;

use super::{carried, softmax};

/// Queries and keys of one clip.
pub(crate) struct Operands<'t> {
    queries: Rows<'t>,
    keys: Rows<'t>,
    channels: usize,
    heads: usize,
    /// The only head that counts, or all.
    head: Option<u32>,
}

/// A row of elements for each token.
#[derive(Clone, Copy)]
struct Rows<'t> {
    elements: &'t [f32],
    /// Elements from one row to the next.
    stride: usize,
    /// The first element of the first row.
    first: usize,
}

impl Rows<'_> {
    /// `size` elements of a token's row from `first` on.
    fn part(&self, token: usize, first: usize, size: usize) -> &[f32] {
        let start = token * self.stride + self.first + first;
        self.elements.get(start..start + size).unwrap_or_default()
    }
}

impl<'t> Operands<'t> {
    /// Takes queries, keys and values next to each other, `[1,T,3C]`.
    pub fn new(packed: &'t Tensor, heads: u32, head: Option<u32>) -> Self {
        let stride = packed.shape().last().copied().unwrap_or(0);
        let channels = stride / 3;
        let part = |first| Rows { elements: packed.data(), stride, first };
        Self { queries: part(0), keys: part(channels), channels, heads: heads.max(1) as usize, head }
    }

    /// Takes queries and keys `[1,T,C]`.
    pub fn apart(queries: &'t Tensor, keys: &'t Tensor, heads: u32, head: Option<u32>) -> Self {
        let channels = queries.shape().last().copied().unwrap_or(0);
        let rows = |tensor: &'t Tensor| Rows { elements: tensor.data(), stride: channels, first: 0 };
        Self { queries: rows(queries), keys: rows(keys), channels, heads: heads.max(1) as usize, head }
    }

    /// A row of weights of all tokens, rolled out through attention of all to all: `row (A + I) / 2`.
    pub fn carried(&self, row: &[f64]) -> Vec<f64> {
        let all: Vec<usize> = (0..row.len()).collect();
        carried(row, |token| all.iter().copied().zip(self.row(token, &all, |_, _| 0.0)).collect())
    }

    /// The weights of the tokens `keys` for the token `query`, with what `bias` adds to the scores of each head and key.
    pub fn row(&self, query: usize, keys: &[usize], bias: impl Fn(usize, usize) -> f64) -> Vec<f32> {
        let size = self.channels / self.heads;
        let scale = (size.max(1) as f64).sqrt().recip();
        let heads = (0..self.heads).filter(|&head| self.head.is_none_or(|own| own as usize == head));
        let (mut sums, mut count) = (vec![0.0; keys.len()], 0.0);
        for head in heads {
            let q = self.queries.part(query, head * size, size);
            let score = |(index, &key): (usize, &usize)| {
                let k = self.keys.part(key, head * size, size);
                scale * dot(q, k) + bias(head, index)
            };
            let mut weights: Vec<f64> = keys.iter().enumerate().map(score).collect();
            softmax(&mut weights);
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
            count += 1.0;
        }
        sums.into_iter().map(|sum: f64| (sum / count) as f32).collect()
    }
}

/// Sums that go on side by side, so that a processor need not wait for one after the other.
const LANES: usize = 8;

/// `a . b`.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (&a, &b))| *sum += f64::from(a) * f64::from(b));
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_no_lanes_left_over() {
        let row: Vec<f32> = (0u8..19).map(f32::from).collect();
        assert_eq!(dot(&row, &row), 2109.0);
    }

    #[test]
    fn rows_are_softmax_of_scores() {
        // Two tokens, two heads of size one: q, k, v of each.
        let packed = Tensor::new(vec![1, 2, 6], vec![1.0, 2.0, 0.0, 3.0, 9.0, 9.0, 0.0, 0.0, 1.0, 4.0, 9.0, 9.0]).expect("fits");
        let row = |head, bias: f64| Operands::new(&packed, 2, head).row(0, &[0, 1], move |_, key| key as f64 * bias);
        let share = |difference: f64| (1.0 / (1.0 + (-difference).exp())) as f32;
        assert_eq!(row(Some(0), 0.0)[1], share(1.0));
        assert_eq!(row(Some(1), 0.0)[1], share(2.0));
        assert_eq!(row(Some(0), -3.0)[1], share(-2.0));
        assert!((row(None, 0.0)[1] - f32::midpoint(share(1.0), share(2.0))).abs() < 1e-6);
        // The same in tensors of their own.
        let tensor = |values: &[f32]| Tensor::new(vec![1, 2, 2], values.to_vec()).expect("fits");
        let (queries, keys) = (tensor(&[1.0, 2.0, 0.0, 0.0]), tensor(&[0.0, 3.0, 1.0, 4.0]));
        for head in [Some(0), Some(1), None] {
            assert_eq!(Operands::apart(&queries, &keys, 2, head).row(0, &[0, 1], |_, _| 0.0), row(head, 0.0));
        }
    }
}

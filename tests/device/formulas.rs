//! Attention and its approximations by their formulas: whole matrices in float64, a head at a time.

use orthoformer::{Shape, Tensors};

/// Rows of numbers.
pub type Matrix = Vec<Vec<f64>>;

/// Numbers as rows of `width`.
pub fn matrix(data: &[f32], width: usize) -> Matrix {
    data.chunks(width).map(|row| row.iter().map(|&number| number.into()).collect()).collect()
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let entry = |row: &Vec<f64>, column: usize| row.iter().zip(b).map(|(number, b)| number * b[column]).sum();
    a.iter().map(|row| (0..b[0].len()).map(|column| entry(row, column)).collect()).collect()
}

fn transposed(a: &Matrix) -> Matrix {
    (0..a[0].len()).map(|column| a.iter().map(|row| row[column]).collect()).collect()
}

/// `factor_a a + factor_b b`.
fn sum(factor_a: f64, a: &Matrix, factor_b: f64, b: &Matrix) -> Matrix {
    let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| factor_a * a + factor_b * b).collect();
    a.iter().zip(b).map(row).collect()
}

/// `softmax(scale a b')`, row by row.
pub fn softmax(a: &Matrix, b: &Matrix, scale: f64) -> Matrix {
    let mut rows = product(a, &transposed(b));
    for row in &mut rows {
        let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|score| *score = (scale * (*score - peak)).exp());
        let total: f64 = row.iter().sum();
        row.iter_mut().for_each(|weight| *weight /= total);
    }
    rows
}

/// The pseudo-inverse by iteration (Xiong et al., AAAI 2021).
fn pseudo_inverse(a: &Matrix, iterations: u32) -> Matrix {
    let largest = |a: &Matrix| a.iter().map(|row| row.iter().map(|number| number.abs()).sum()).fold(0.0, f64::max);
    let scale = 1.0 / (largest(a) * largest(&transposed(a)));
    let mut inverse = sum(scale, &transposed(a), 0.0, &transposed(a));
    for _ in 0..iterations {
        let z = product(a, &inverse);
        let inner = sum(15.0, &z, -1.0, &product(&z, &sum(7.0, &z, -1.0, &product(&z, &z))));
        inverse = sum(3.25, &inverse, -0.25, &product(&inverse, &inner));
    }
    inverse
}

/// One head of one batch item: a row a token.
pub struct Head {
    pub q: Matrix,
    pub k: Matrix,
    pub v: Matrix,
    patches: usize,
    scale: f64,
}

impl Head {
    /// All heads of all batch items of `q`, `k`, `v`.
    pub fn all(shape: &Shape, inputs: &Tensors) -> Vec<Self> {
        let (size, patches) = (shape.head_size() as usize, shape.patches() as usize);
        let head = shape.tokens() as usize * size;
        let part = |name: &str, number: usize| matrix(&inputs[name].data()[number * head..][..head], size);
        let heads = 0..(shape.batch() * shape.heads()) as usize;
        let of = |number| Self {
            q: part("q", number),
            k: part("k", number),
            v: part("v", number),
            patches,
            scale: (size as f64).sqrt().recip(),
        };
        heads.map(of).collect()
    }

    /// What prototypes are chosen from: queries, then keys if wanted, of one frame or all.
    pub fn candidates(&self, frame: Option<usize>, keys: bool) -> Matrix {
        let range = frame.map_or(0..self.q.len(), |frame| frame * self.patches..(frame + 1) * self.patches);
        let keys = if keys { &self.k[range.clone()] } else { &[] };
        [&self.q[range], keys].concat()
    }

    /// Keys and values, frame by frame.
    fn frames(&self) -> Vec<(Matrix, Matrix)> {
        self.k.chunks(self.patches).map(<[_]>::to_vec).zip(self.v.chunks(self.patches).map(<[_]>::to_vec)).collect()
    }

    /// `softmax_f(rows k') v` for each frame `f`.
    fn seen_by(&self, rows: &Matrix) -> Vec<Matrix> {
        self.frames().iter().map(|(k, v)| product(&softmax(rows, k, self.scale), v)).collect()
    }

    pub fn exact(&self) -> Vec<f32> {
        tokens(&self.seen_by(&self.q))
    }

    /// Through these prototypes, or those of the query's own frame.
    pub fn orthoformer(&self, prototypes: &[Matrix]) -> Vec<f32> {
        let through = |(q, prototypes): (&[Vec<f64>], &Matrix)| {
            let left = softmax(&q.to_vec(), prototypes, self.scale);
            tokens(&self.seen_by(prototypes).iter().map(|seen| product(&left, seen)).collect::<Vec<_>>())
        };
        self.q.chunks(self.q.len() / prototypes.len()).zip(prototypes).flat_map(through).collect()
    }

    pub fn nystrom(&self, count: usize, iterations: u32) -> Vec<f32> {
        let (lq, lk) = (self.landmarks(&self.q, count), self.landmarks(&self.k, count));
        let inverse = pseudo_inverse(&softmax(&lq, &lk, self.scale), iterations);
        let left = product(&softmax(&self.q, &lk, self.scale), &inverse);
        tokens(&self.seen_by(&lq).iter().map(|seen| product(&left, seen)).collect::<Vec<_>>())
    }

    /// Means of consecutive tokens, place by place; the last segments are one token longer where they do not divide.
    fn landmarks(&self, rows: &Matrix, count: usize) -> Matrix {
        let frames = rows.len() / self.patches;
        let mut rest = (0..rows.len()).map(|token| &rows[token % frames * self.patches + token / frames]);
        let length = |segment: usize| rows.len() / count + usize::from(segment >= count - rows.len() % count);
        let mean = |segment: usize| {
            let own: Matrix = rest.by_ref().take(length(segment)).cloned().collect();
            transposed(&own).iter().map(|column| column.iter().sum::<f64>() / own.len() as f64).collect()
        };
        (0..count).map(mean).collect()
    }

    /// By the features of a projection, as published: with peaks, and 1e-6 more.
    pub fn performer(&self, projection: &Matrix) -> Vec<f32> {
        let root = self.scale.sqrt();
        let projected = |rows: &Matrix| product(&sum(root, rows, 0.0, rows), &transposed(projection));
        let peak = |row: &Vec<f64>| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let feature = |x: &Vec<f64>, row: &Vec<f64>, peak: f64| -> Vec<f64> {
            let half_square = 0.5 * self.scale * x.iter().map(|number| number * number).sum::<f64>();
            row.iter().map(|projection| (projection - half_square - peak).exp() + 1e-6).collect()
        };
        let phi_q: Matrix = self.q.iter().zip(projected(&self.q)).map(|(x, row)| feature(x, &row, peak(&row))).collect();
        let rows = projected(&self.k);
        let of_all = rows.iter().map(peak).fold(f64::NEG_INFINITY, f64::max);
        let phi_k: Matrix = self.k.iter().zip(&rows).map(|(x, row)| feature(x, row, of_all)).collect();
        let of_frame = |((_, v), phi_k): (&(Matrix, Matrix), &[Vec<f64>])| {
            let weights = product(&phi_q, &transposed(&phi_k.to_vec()));
            let shares = weights.iter().map(|row| row.iter().map(|weight| weight / row.iter().sum::<f64>()).collect());
            product(&shares.collect(), v)
        };
        tokens(&self.frames().iter().zip(phi_k.chunks(self.patches)).map(of_frame).collect::<Vec<_>>())
    }
}

/// Tokens `[N, F, D]` from those of each frame.
fn tokens(frames: &[Matrix]) -> Vec<f32> {
    let of_query = |query: usize| frames.iter().flat_map(move |frame| frame[query].iter().map(|&number| number as f32));
    (0..frames[0].len()).flat_map(of_query).collect()
}

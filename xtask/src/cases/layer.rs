//! Layers of attention, from the published weights.
//!
//! `x [B,T,C]` is cut into `H` heads of `D` columns, and the results `o` of the heads lie side by side. A missing bias is zero.
//!
//! ```text
//! [q k v] = W_qkv x + b_qkv        y = W_proj o + b_proj
//! ```
//!
//! `T` is `1 + N` with a class token, which is first, and `N` without. The class token attends to all tokens. Patches
//! attend by the layer's attention:
//!
//! - *joint*: to all tokens.
//! - *divided_space*: to the class token and the patches of their frame.
//! - *divided_time*: to the class token and the patches at their position, in all frames.
//! - *trajectory*: to patches alone, along trajectories (Patrick et al., NeurIPS 2021).
//!
//! Trajectories go through a temporal stage. `t [N,F,C]` are the trajectory tokens, heads side by side:
//!
//! ```text
//! own[n] = t[n, frame of n]        q2 = W_q own + b_q        [k2 v2] = W_kv t + b_kv
//! o_n    = sum_f softmax_f(q2_n . k2_{n,f} / sqrt D) v2_{n,f}     for each head
//! ```
//!
//! Values are `v2` (*projected*), or `t` itself (*identity*, as the published checkpoints were trained).

use std::collections::BTreeMap;

use super::Result;
use super::approximation::{Approximation, Trajectories};
use super::attention::{Head, attend, check_frames};
use super::file::Case;
use super::matrix::Matrix;
use super::tensor::Tensor;

/// A layer's sizes.
#[derive(Clone, Copy)]
struct Sizes {
    /// `B`.
    batch: usize,
    /// `T`.
    tokens: usize,
    /// `C`.
    channels: usize,
    /// `H`.
    heads: usize,
    /// `F`.
    frames: usize,
    /// 1 with a class token, else 0.
    class_tokens: usize,
}

/// `W x + b`, on rows.
struct Linear {
    /// `W`.
    weight: Matrix,
    /// `b`.
    bias: Vec<f64>,
}

impl Linear {
    /// The tensors `NAME.weight`, which must be `[outputs,inputs]`, and `NAME.bias`, if there is one.
    fn of_case(case: &Case, name: &str, outputs: usize, inputs: usize) -> Result<Self> {
        let weight = case.shaped(&format!("{name}.weight"), &[outputs, inputs])?;
        let weight = Matrix::from_fn(outputs, inputs, |row, column| weight.values[row * inputs + column]);
        let bias = format!("{name}.bias");
        let has_bias = case.tensors.contains_key(&bias) || case.unread.contains_key(&bias);
        let bias = if has_bias { case.shaped(&bias, &[outputs])?.values.clone() } else { vec![0.0; outputs] };
        Ok(Self { weight, bias })
    }

    fn apply(&self, x: &Matrix) -> Matrix {
        let product = x.times_transposed(&self.weight);
        Matrix::from_fn(product.rows(), product.columns(), |row, column| product.at(row, column) + self.bias[column])
    }
}

impl Sizes {
    fn of_case(case: &Case) -> Result<Self> {
        let [batch, tokens, channels] = case.tensor("x")?.sizes("x")?;
        let (frames, heads) = (case.count("frames", None)?, case.count("heads", None)?);
        let class_tokens = usize::from(case.flag("class_token", true)?);
        if !channels.is_multiple_of(heads) {
            return Err(format!("{channels} channels do not divide into {heads} heads"));
        }
        if tokens < class_tokens {
            return Err("no tokens".to_owned());
        }
        check_frames(tokens - class_tokens, frames)?;
        Ok(Self { batch, tokens, channels, heads, frames, class_tokens })
    }

    /// `D`.
    fn size(&self) -> usize {
        self.channels / self.heads
    }

    /// `N`.
    fn patch_tokens(&self) -> usize {
        self.tokens - self.class_tokens
    }

    /// `S`.
    fn patches(&self) -> usize {
        self.patch_tokens() / self.frames
    }

    /// The heads of one batch item, class token included.
    fn heads_of(&self, qkv: &Matrix) -> Vec<Head> {
        let part = |number: usize, head: usize| {
            let start = number * self.channels + head * self.size();
            qkv.column_range(start..start + self.size())
        };
        let head = |head| Head { q: part(0, head), k: part(1, head), v: part(2, head), frames: self.frames };
        (0..self.heads).map(head).collect()
    }
}

/// `y [B,T,C]`, and of trajectory attention `tokens [B,N,F,C]` and the picks of a selection, `indices`.
pub fn layer(case: &Case) -> Result<BTreeMap<&'static str, Tensor>> {
    let sizes = Sizes::of_case(case)?;
    let qkv = Linear::of_case(case, "qkv", 3 * sizes.channels, sizes.channels)?;
    let proj = Linear::of_case(case, "proj", sizes.channels, sizes.channels)?;
    let heads: Vec<Head> = case.tensor("x")?.matrices().iter().flat_map(|x| sizes.heads_of(&qkv.apply(x))).collect();
    let mut answers = BTreeMap::new();
    let names = ["trajectory", "joint", "divided_space", "divided_time"];
    let results = match case.choice("attention", &names, None)? {
        "trajectory" => trajectory(case, sizes, &heads, &mut answers)?,
        attention => {
            case.choice("approximation", &["exact"], Some("exact"))?;
            let of_head: Vec<Matrix> = heads.iter().map(|head| divided(head, sizes, attention)).collect();
            of_head.chunks(sizes.heads).map(side_by_side).collect()
        }
    };
    let outputs: Vec<Matrix> = results.iter().map(|result| proj.apply(result)).collect();
    answers.insert("y", Tensor::stacked(vec![sizes.batch, sizes.tokens, sizes.channels], &outputs));
    Ok(answers)
}

/// The results of all tokens of a head by joint or divided attention.
fn divided(head: &Head, sizes: Sizes, attention: &str) -> Matrix {
    let patches = sizes.patches();
    let seen_by = |token: usize| -> Vec<usize> {
        let Some(own) = token.checked_sub(sizes.class_tokens) else { return (0..sizes.tokens).collect() };
        let is_seen = |other: &usize| match other.checked_sub(sizes.class_tokens) {
            None => true,
            Some(other) => match attention {
                "divided_space" => other / patches == own / patches,
                "divided_time" => other % patches == own % patches,
                _ => true,
            },
        };
        (0..sizes.tokens).filter(is_seen).collect()
    };
    let result = |token| {
        let seen = seen_by(token);
        attend(&head.q.row_range(token..token + 1), &head.k.pick(&seen), &head.v.pick(&seen))
    };
    let results: Vec<Matrix> = (0..sizes.tokens).map(result).collect();
    Matrix::from_fn(sizes.tokens, sizes.size(), |token, column| results[token].at(0, column))
}

/// The results of all tokens of each batch item by trajectory attention. Trajectory tokens and picks go to the answers.
fn trajectory(case: &Case, sizes: Sizes, heads: &[Head], answers: &mut BTreeMap<&'static str, Tensor>) -> Result<Vec<Matrix>> {
    let only_patches = |rows: &Matrix| rows.row_range(sizes.class_tokens..sizes.tokens);
    let of_patches =
        |head: &Head| Head { q: only_patches(&head.q), k: only_patches(&head.k), v: only_patches(&head.v), frames: sizes.frames };
    let patches: Vec<Head> = heads.iter().map(of_patches).collect();
    let Trajectories { heads: tokens, indices } = Approximation::of_case(case, sizes.size())?.trajectories(&patches)?;
    // `[N,C]` for each batch item and frame.
    let tokens: Vec<Vec<Matrix>> = tokens
        .chunks(sizes.heads)
        .map(|of_item| {
            let of_frame = |frame: usize| of_item.iter().map(|head| head[frame].clone()).collect::<Vec<_>>();
            (0..sizes.frames).map(|frame| side_by_side(&of_frame(frame))).collect()
        })
        .collect();
    let temporal = Temporal::of_case(case, sizes)?;
    let results = heads.chunks(sizes.heads).zip(&tokens).map(|(heads, tokens)| {
        let of_class = |head: &Head| attend(&head.q.row_range(0..sizes.class_tokens), &head.k, &head.v);
        side_by_side(&heads.iter().map(of_class).collect::<Vec<_>>()).above(&temporal.pool(tokens))
    });
    let results = results.collect();
    let shape = vec![sizes.batch, sizes.patch_tokens(), sizes.frames, sizes.channels];
    answers.insert("tokens", Tensor::floats(shape, tokens.iter().flat_map(|tokens| query_major(tokens)).collect()));
    answers.extend(indices.map(|indices| ("indices", indices)));
    Ok(results)
}

/// The temporal stage.
struct Temporal {
    sizes: Sizes,
    proj_q: Linear,
    proj_kv: Linear,
    identity: bool,
}

impl Temporal {
    fn of_case(case: &Case, sizes: Sizes) -> Result<Self> {
        Ok(Self {
            sizes,
            proj_q: Linear::of_case(case, "proj_q", sizes.channels, sizes.channels)?,
            proj_kv: Linear::of_case(case, "proj_kv", 2 * sizes.channels, sizes.channels)?,
            identity: case.choice("temporal_value", &["projected", "identity"], None)? == "identity",
        })
    }

    /// `o [N,C]` from `t`, `[N,C]` for each frame.
    fn pool(&self, tokens: &[Matrix]) -> Matrix {
        let Sizes { channels, heads, frames, .. } = self.sizes;
        let (size, patches) = (self.sizes.size(), self.sizes.patches());
        let own = Matrix::from_fn(frames * patches, channels, |n, column| tokens[n / patches].at(n, column));
        let queries = self.proj_q.apply(&own);
        let pairs: Vec<Matrix> = tokens.iter().map(|tokens| self.proj_kv.apply(tokens)).collect();
        let keys: Vec<Matrix> = pairs.iter().map(|pairs| pairs.column_range(0..channels)).collect();
        let values: Vec<Matrix> = match self.identity {
            true => tokens.to_vec(),
            false => pairs.iter().map(|pairs| pairs.column_range(channels..2 * channels)).collect(),
        };
        let results: Vec<Matrix> = (0..heads * frames * patches)
            .map(|index| {
                let (n, start) = (index / heads, index % heads * size);
                let over_frames = |rows: &[Matrix]| Matrix::from_fn(frames, size, |f, column| rows[f].at(n, start + column));
                let query = Matrix::from_fn(1, size, |_, column| queries.at(n, start + column));
                attend(&query, &over_frames(&keys), &over_frames(&values))
            })
            .collect();
        Matrix::from_fn(frames * patches, channels, |n, column| results[n * heads + column / size].at(0, column % size))
    }
}

/// Results of heads, one beside the other.
fn side_by_side(heads: &[Matrix]) -> Matrix {
    let (rows, size) = heads.first().map_or((0, 1), |head| (head.rows(), head.columns()));
    Matrix::from_fn(rows, heads.len() * size, |row, column| heads[column / size].at(row, column % size))
}

/// Elements of `t[n,f]` query by query, from a matrix for each frame.
pub fn query_major(by_frame: &[Matrix]) -> Vec<f64> {
    let queries = by_frame.first().map_or(0, Matrix::rows);
    (0..queries).flat_map(|query| by_frame.iter().flat_map(move |tokens| tokens.row(query)).copied()).collect()
}

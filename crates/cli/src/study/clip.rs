//! A clip as an attention problem with known sense: no training, and attention that follows things.
//!
//! Every patch has two descriptors of `D` numbers and length one: its surroundings ([`Grid::describe`]), and its own content (colour means
//! over 4 x 4 cells of the patch itself, in both halves of its time). The first head compares surroundings and looks at content, the second
//! compares content and looks at surroundings. As a layer: `x` holds both, and the weights pick them apart.

use image::RgbImage;
use orthoformer::ops::Approximation;
use orthoformer::ops::follow::FollowSpec;
use orthoformer::ops::layer::{Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::{Error, Result, Shape, Tensor, Tensors};
use orthoformer_video::patches::{Grid, mean_colour};

/// Heads of the problem.
pub const HEADS: usize = 2;
/// Cells in a row and in a column of a patch's content.
const CELLS: usize = 4;
/// Temperature of the softmax over frames.
const TEMPORAL_TEMPERATURE: f64 = 0.1;

/// A clip as queries, keys and values, as a layer, and as patches to follow.
#[derive(Clone, Debug)]
pub struct ClipProblem {
    /// Sizes of the trajectories: one sequence, two heads.
    pub shape: Shape,
    /// `q`, `k`, `v` `[1, 2, N, D]`.
    pub trajectories: Tensors,
    /// `x [1, N, 2D]` and the layer's weights.
    pub layer: Tensors,
    /// `query [Q, D]` and `keys [F, S, D]`: surroundings, of length one.
    pub following: Tensors,
    /// Sizes of the following, and its scale.
    pub follow: FollowSpec,
}

impl ClipProblem {
    /// Makes a problem of scaled frames; `queries` patches of the middle frame of patches are followed. `temperature` is that of the softmax
    /// over similarities.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] for no frames or no queries, [`Error::Argument`] for a temperature that is not above 0; sizes that are too large.
    pub fn new(grid: &Grid, frames: &[RgbImage], temperature: f64, queries: usize) -> Result<Self> {
        if !(temperature > 0.0 && temperature.is_finite()) {
            let expected = "a number above 0".to_owned();
            return Err(Error::Argument { what: "temperature", given: temperature.to_string(), expected });
        }
        let steps: Vec<Vec<&RgbImage>> = frames.chunks_exact(grid.depth as usize).map(|step| step.iter().collect()).collect();
        if steps.is_empty() {
            return Err(Error::ZeroSize { what: "frames of patches (the clip has fewer frames than a patch is deep)" });
        }
        let mean = mean_colour(frames);
        let surroundings: Vec<f32> = steps.iter().flat_map(|step| grid.describe(step, mean)).collect();
        let content: Vec<f32> = steps.iter().flat_map(|step| contents(grid, step, mean)).collect();
        let size = grid.descriptor_size();
        let shape = Shape::new(1, HEADS, steps.len(), grid.patches(), size)?;
        // Queries and keys of length a, so that a^2 / sqrt D times a similarity is similarity / temperature.
        let sharpness = ((size as f64).sqrt() / temperature).sqrt();
        if queries > grid.patches() {
            return Err(Error::TooLarge { what: "queries", given: queries as u64, most: grid.patches() as u64 });
        }
        if queries == 0 {
            return Err(Error::ZeroSize { what: "queries" });
        }
        Ok(Self {
            shape,
            trajectories: trajectories(&shape, &surroundings, &content, sharpness)?,
            layer: layer(&shape, &surroundings, &content, sharpness)?,
            following: following(&shape, &surroundings, queries)?,
            follow: FollowSpec {
                queries,
                frames: steps.len(),
                patches: grid.patches(),
                head_size: size,
                value_size: 1,
                scale: (1.0 / temperature) as f32,
            },
        })
    }

    /// The layer with an approximation; it hands out `y` alone.
    pub fn layer_spec(&self, approximation: Approximation) -> LayerSpec {
        LayerSpec {
            shape: self.shape,
            attention: LayerAttention::Trajectory(TemporalValue::Projected),
            approximation,
            class_token: false,
            biases: Biases { qkv: false, proj_q: false, proj_kv: false, proj: false },
            outputs: LayerOutputs::default(),
        }
    }
}

/// Content of every patch of a frame of patches, scaled to length one.
fn contents(grid: &Grid, frames: &[&RgbImage], mean: [f32; 3]) -> Vec<f32> {
    let (side, depth) = (grid.side as usize, grid.depth as usize);
    let halves = depth.min(2);
    let mut all = Vec::new();
    for patch in grid.cut(frames).chunks(grid.patch_numbers()) {
        let (mut sums, mut counts) = (vec![0f32; grid.descriptor_size()], vec![0f32; grid.descriptor_size()]);
        for (index, number) in patch.iter().enumerate() {
            let (colour, x, y) = (index % 3, index / 3 % side, index / 3 / side % side);
            let half = index / (3 * side * side) * halves / depth;
            let cell = (half * CELLS + y * CELLS / side) * CELLS + x * CELLS / side;
            sums[cell * 3 + colour] += number - mean[colour];
            counts[cell * 3 + colour] += 1.0;
        }
        let numbers: Vec<f32> = sums.iter().zip(&counts).map(|(sum, count)| sum / count.max(1.0)).collect();
        let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
        let floor = (numbers.len() as f32).sqrt() / 255.0;
        all.extend(numbers.iter().map(|number| number / length.max(floor)));
    }
    all
}

fn trajectories(shape: &Shape, surroundings: &[f32], content: &[f32], sharpness: f64) -> Result<Tensors> {
    let axes = vec![1, HEADS, shape.tokens() as usize, shape.head_size() as usize];
    let scaled = |numbers: &[f32]| -> Vec<f32> { numbers.iter().map(|number| number * sharpness as f32).collect() };
    let compared = Tensor::new(axes.clone(), [scaled(surroundings), scaled(content)].concat())?;
    let values = Tensor::new(axes, [content, surroundings].concat())?;
    Ok(Tensors::from([("q".to_owned(), compared.clone()), ("k".to_owned(), compared), ("v".to_owned(), values)]))
}

fn layer(shape: &Shape, surroundings: &[f32], content: &[f32], sharpness: f64) -> Result<Tensors> {
    let (size, c) = (shape.head_size() as usize, shape.channels() as usize);
    let rows = surroundings.chunks(size).zip(content.chunks(size));
    let x = rows.flat_map(|(surroundings, content)| [surroundings, content].concat()).collect();
    // Output o takes input `of(o)` times `factor`.
    let picks = |outputs: usize, pick: &dyn Fn(usize) -> (usize, f64)| {
        let mut weight = vec![0f32; outputs * c];
        for output in 0..outputs {
            let (input, factor) = pick(output);
            weight[output * c + input] = factor as f32;
        }
        Tensor::new(vec![outputs, c], weight)
    };
    let temporal = ((size as f64).sqrt() / TEMPORAL_TEMPERATURE).sqrt();
    // Queries and keys as they lie; values of one head are what the other compares.
    let qkv = picks(3 * c, &|output| if output < 2 * c { (output % c, sharpness) } else { ((output + size) % c, 1.0) })?;
    Ok(Tensors::from([
        ("x".to_owned(), Tensor::new(vec![1, shape.tokens() as usize, c], x)?),
        ("qkv.weight".to_owned(), qkv),
        ("proj_q.weight".to_owned(), picks(c, &|output| (output, temporal))?),
        ("proj_kv.weight".to_owned(), picks(2 * c, &|output| (output % c, if output < c { temporal } else { 1.0 }))?),
        ("proj.weight".to_owned(), picks(c, &|output| (output, 1.0))?),
    ]))
}

fn following(shape: &Shape, surroundings: &[f32], queries: usize) -> Result<Tensors> {
    let (size, patches) = (shape.head_size() as usize, shape.patches() as usize);
    let middle = shape.frames() as usize / 2 * patches;
    let query = |number: usize| {
        let patch = middle + number * patches / queries;
        surroundings[patch * size..][..size].iter().copied()
    };
    let keys = vec![shape.frames() as usize, patches, size];
    Ok(Tensors::from([
        ("query".to_owned(), Tensor::new(vec![queries, size], (0..queries).flat_map(query).collect())?),
        ("keys".to_owned(), Tensor::new(keys, surroundings.to_vec())?),
    ]))
}

//! Deformable attention by its formulas, in float64: every sample is a sum over all places of a frame.

use orthoformer::{Tensor, Tensors};
use orthoformer_models::networks::deformable::{Fusion, Grid, LayerSpec, Logits};

/// Rows of elements.
type Matrix = Vec<Vec<f64>>;

/// Elements as rows of `width`.
fn matrix(data: &[f32], width: usize) -> Matrix {
    data.chunks(width).map(|row| row.iter().map(|&value| value.into()).collect()).collect()
}

/// A tensor's elements as rows of `width`.
pub fn matrix_of(tensor: &Tensor, width: usize) -> Matrix {
    matrix(tensor.data(), width)
}

/// Weights whose names begin alike.
struct Weights<'t>(&'t Tensors, String);

impl Weights<'_> {
    fn of(&self, name: &str) -> &[f32] {
        self.0[&format!("{}{name}", self.1)].data()
    }

    /// `x W' + b` of a row, where there is a bias.
    fn dense(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let bias = self.0.get(&format!("{}{name}.bias", self.1));
        let rows = matrix(self.of(&format!("{name}.weight")), x.len()).into_iter().enumerate();
        rows.map(|(row, w)| dot(&w, x) + bias.map_or(0.0, |bias| bias.data()[row].into())).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let [scales, shifts] = ["weight", "bias"].map(|part| matrix(self.of(&format!("{name}.{part}")), x.len()).remove(0));
        let of = |(i, x): (usize, &f64)| (x - mean) / (variance + 1e-6).sqrt() * scales[i] + shifts[i];
        x.iter().enumerate().map(of).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))
}

fn added(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// What a layer makes of its inputs `x` and `motion`.
pub fn layer(spec: &LayerSpec, inputs: &Tensors) -> Vec<f32> {
    let (grid, c) = (spec.grid, spec.channels as usize);
    let clips = inputs["x"].data().chunks(grid.tokens() as usize * c);
    let moved = inputs["motion"].data().chunks((grid.tokens() * grid.sub_clip * 2) as usize);
    let of_clip = |(x, moved): (&[f32], &[f32])| {
        let (x, moved) = (matrix(x, c), matrix(moved, grid.sub_clip as usize * 2));
        match &spec.attention.scales {
            None => space_time(spec, grid, &Weights(inputs, String::new()), &x, &moved),
            Some(_) => several(spec, inputs, &x, &moved),
        }
    };
    clips.zip(moved).flat_map(of_clip).flatten().map(|number| number as f32).collect()
}

/// D-ST-A; `moved` has a row a token.
fn space_time(spec: &LayerSpec, grid: Grid, weights: &Weights, x: &Matrix, moved: &Matrix) -> Matrix {
    let (heads, size) = (spec.attention.heads as usize, (spec.channels / spec.attention.heads) as usize);
    let is_dot = spec.attention.logits == Logits::Dot;
    let name = if is_dot { "qkv" } else { "qv" };
    let packed: Matrix = x.iter().map(|x| weights.dense(name, x)).collect();
    let part = |token: usize, part: usize, head: usize| &packed[token][(part * heads + head) * size..][..size];
    let values = if is_dot { 2 } else { 1 };
    let places = (grid.rows * grid.columns) as usize;
    let mut y = Vec::new();
    for (token, moved) in moved.iter().enumerate() {
        let mut out = Vec::new();
        for head in 0..heads {
            let (mut logits, mut sampled) = (Vec::new(), Vec::new());
            for (g, moved) in moved.chunks(2).enumerate() {
                let frame = token / places / grid.sub_clip as usize * grid.sub_clip as usize + g;
                for sample in 0..spec.attention.samples as usize {
                    let at = place_of(spec, grid, weights, (head, sample), part(token, 0, head), (token % places, moved));
                    let shares = shares_of(grid, at);
                    let seen = |which: usize| -> Vec<f64> {
                        let of = |d: usize| {
                            shares.iter().map(|&(place, share)| share * part(frame * places + place, which, head)[d]).sum()
                        };
                        (0..size).map(of).collect()
                    };
                    logits.push(match is_dot {
                        true => dot(part(token, 0, head), &seen(1)) / (size as f64).sqrt(),
                        false => logit_of_motion(weights, head * spec.attention.samples as usize + sample, moved),
                    });
                    sampled.push(seen(values));
                }
            }
            let peak = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = logits.iter().map(|logit| (logit - peak).exp()).sum();
            let of =
                |d: usize| logits.iter().zip(&sampled).map(|(logit, seen)| (logit - peak).exp() / total * seen[d]).sum::<f64>();
            out.extend((0..size).map(of));
        }
        y.push(weights.dense("proj", &out));
    }
    y
}

/// Where a sample lies: column and row.
fn place_of(
    spec: &LayerSpec,
    grid: Grid,
    weights: &Weights,
    (head, sample): (usize, usize),
    query: &[f64],
    (place, moved): (usize, &[f64]),
) -> (f64, f64) {
    let known = [query, moved].concat();
    let samples = spec.attention.samples as usize;
    let at = |axis: usize| {
        let row = (head * samples + sample) * 2 + axis;
        moved[axis] + row_by(weights, "offsets", row, &known)
    };
    let columns = grid.columns as usize;
    ((place % columns) as f64 + at(0), (place / columns) as f64 + at(1))
}

/// The places of a frame near a point, each with its share.
fn shares_of(grid: Grid, (x, y): (f64, f64)) -> Vec<(usize, f64)> {
    let share = |place: usize| {
        let (column, row) = (place % grid.columns as usize, place / grid.columns as usize);
        (1.0 - (x - column as f64).abs()).max(0.0) * (1.0 - (y - row as f64).abs()).max(0.0)
    };
    (0..(grid.rows * grid.columns) as usize).map(|place| (place, share(place))).filter(|&(_, share)| share > 0.0).collect()
}

/// One number of `x W' + b`.
fn row_by(weights: &Weights, name: &str, row: usize, x: &[f64]) -> f64 {
    let own = &weights.of(&format!("{name}.weight"))[row * x.len()..][..x.len()];
    let product: f64 = own.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum();
    product + f64::from(weights.of(&format!("{name}.bias"))[row])
}

fn logit_of_motion(weights: &Weights, row: usize, moved: &[f64]) -> f64 {
    let embedded: Vec<f64> = weights.dense("motion", moved).into_iter().map(gelu).collect();
    row_by(weights, "logits", row, &embedded)
}

/// D-MS-A.
fn several(spec: &LayerSpec, inputs: &Tensors, x: &Matrix, moved: &Matrix) -> Matrix {
    let scales = spec.attention.scales.as_ref().expect("several");
    let (fine, own) = (spec.grid, Weights(inputs, String::new()));
    let mut together = vec![Vec::new(); x.len()];
    for (number, &strides) in scales.strides.iter().enumerate() {
        let weights = Weights(inputs, format!("scales.{number}."));
        let coarse = fine.coarser(strides).expect("divides");
        let (tokens, moved) = coarsened(fine, coarse, strides, x, moved);
        let tokens: Matrix = tokens.iter().map(|covered| weights.dense("conv", covered)).collect();
        let attended = space_time(spec, coarse, &weights, &tokens, &moved);
        for (token, together) in together.iter_mut().enumerate() {
            together.push(attended[covering(fine, strides, token)].clone());
        }
    }
    together.iter().map(|z| if scales.fusion == Fusion::Mlp { mlp(&own, z) } else { mixer(&own, z) }).collect()
}

fn mlp(weights: &Weights, z: &Matrix) -> Vec<f64> {
    let inside: Vec<f64> = weights.dense("fuse.fc1", &z.concat()).into_iter().map(gelu).collect();
    weights.dense("fuse.fc2", &inside)
}

fn mixer(weights: &Weights, z: &Matrix) -> Vec<f64> {
    let normed: Matrix = z.iter().map(|z| weights.norm("fuse.norm1", z)).collect();
    let mut u = z.clone();
    for d in 0..z[0].len() {
        let column: Vec<f64> = normed.iter().map(|row| row[d]).collect();
        let inside: Vec<f64> = weights.dense("fuse.scales.fc1", &column).into_iter().map(gelu).collect();
        for (u, mixed) in u.iter_mut().zip(weights.dense("fuse.scales.fc2", &inside)) {
            u[d] += mixed;
        }
    }
    let channels = |u: &Vec<f64>| {
        let inside: Vec<f64> = weights.dense("fuse.channels.fc1", &weights.norm("fuse.norm2", u)).into_iter().map(gelu).collect();
        added(u, &weights.dense("fuse.channels.fc2", &inside))
    };
    let sum = u.iter().map(channels).reduce(|a, b| added(&a, &b)).expect("a scale");
    sum.into_iter().map(|sum| sum / z.len() as f64).collect()
}

/// The place of a scale that covers a token.
fn covering(fine: Grid, [depth, height, width]: [u32; 3], token: usize) -> usize {
    let [rows, columns] = [fine.rows, fine.columns].map(|size| size as usize);
    let [depth, height, width] = [depth, height, width].map(|size| size as usize);
    let (frame, y, x) = (token / columns / rows, token / columns % rows, token % columns);
    (frame / depth * (rows / height) + y / height) * (columns / width) + x / width
}

/// What each place of a scale covers, in the order of a convolution's weights, and its motion.
fn coarsened(fine: Grid, coarse: Grid, strides: [u32; 3], x: &Matrix, moved: &Matrix) -> (Matrix, Matrix) {
    let places = (fine.rows * fine.columns) as usize;
    let (depth, across, down) = (strides[0] as usize, f64::from(strides[2]), f64::from(strides[1]));
    let of = |place: usize| {
        let covered: Vec<usize> = (0..x.len()).filter(|&token| covering(fine, strides, token) == place).collect();
        let row: Vec<f64> = (0..x[0].len()).flat_map(|channel| covered.iter().map(move |&token| x[token][channel])).collect();
        let first: Vec<usize> = covered.iter().copied().filter(|token| token / places == covered[0] / places).collect();
        let mean = |column: usize| first.iter().map(|&token| moved[token][column]).sum::<f64>() / first.len() as f64;
        let moved = (0..coarse.sub_clip as usize).flat_map(|g| [mean(2 * g * depth) / across, mean(2 * g * depth + 1) / down]);
        (row, moved.collect())
    };
    (0..coarse.tokens() as usize).map(of).unzip()
}

//! Chunks against one softmax over all keys.

use super::*;
use crate::plan::Plan;
use crate::reference::{self, Route};
use crate::tensor::{Tensor, Tensors};

const SIZES: StreamedSizes = StreamedSizes {
    heads: 2,
    rows: 3,
    keys: 0,
    head_size: 5,
    value_size: 4,
    has_extra_key: false,
    keys_shared: false,
    values_shared: false,
    scale: 0.4,
    of_key: 0,
};

/// Attention of two items over `keys` keys, in chunks of 64 and perhaps the first one alone, and how many chunks there are.
fn plan(keys: u64, has_extra_key: bool) -> (Plan, u32) {
    let extra = u64::from(has_extra_key);
    let sizes = StreamedSizes { keys: (keys - extra) as u32, has_extra_key, ..SIZES };
    let mut builder = PlanBuilder::new(PlanLimits { scratch_bytes: 4 * 10 * 64, ..PlanLimits::default() });
    let mut tokens = |name: &str, rows, width, role| builder.array(name, &[2, rows, width], role).expect("small");
    let (q, k) = (tokens("q", sizes.rows.into(), 10, Role::Input), tokens("k", keys, 10, Role::Input));
    let (v, out) = (tokens("v", keys, 8, Role::Input), tokens("out", sizes.rows.into(), 8, Role::Output));
    let streamed = Streamed::new(&mut builder, sizes).expect("small");
    for item in 0..2 {
        let [q, k, v, out] = [q, k, v, out].map(|tokens| tokens.part(0, item, 1));
        for chunk in streamed.chunks() {
            let first = if chunk.is_extra { 0 } else { extra + u64::from(chunk.first) };
            let [k, v] = [k, v].map(|tokens| tokens.part(1, first, chunk.count.into()));
            streamed.push(&mut builder, chunk, [q, k, v], out).expect("small");
        }
    }
    streamed.release(&mut builder).expect("its own");
    (builder.build(), streamed.chunks)
}

/// Numbers that repeat late, from -1 to 1.
fn numbers(shape: [usize; 3], factor: u64) -> Tensor {
    let count = shape.iter().product::<usize>() as u64;
    let data = (1..=count).map(|index| (index * factor % 10_007) as f32 / 5_003.5 - 1.0).collect();
    Tensor::new(shape.to_vec(), data).expect("as many")
}

/// One softmax over all keys.
fn plain(given: &Tensors, keys: usize) -> Vec<f64> {
    let row = |name: &str, item: usize, rows: usize, row: usize, first: usize, size: usize| -> Vec<f64> {
        let tensor = &given[name];
        let start = (item * rows + row) * tensor.shape()[2] + first;
        tensor.data()[start..start + size].iter().map(|&number| number.into()).collect()
    };
    let mut out = Vec::new();
    for (item, asking, head) in (0..2).flat_map(|item| (0..3).flat_map(move |r| (0..2).map(move |h| (item, r, h)))) {
        let query = row("q", item, 3, asking, head * 5, 5);
        let score = |key| {
            let products = query.iter().zip(row("k", item, keys, key, head * 5, 5)).map(|(q, k)| q * k);
            (products.sum::<f64>() * f64::from(SIZES.scale)).exp()
        };
        let weights: Vec<f64> = (0..keys).map(score).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = [0.0; 4];
        for (key, weight) in weights.iter().enumerate() {
            let value = row("v", item, keys, key, head * 4, 4);
            sum.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight / total * value);
        }
        out.extend(sum);
    }
    out
}

#[test]
fn chunks_are_one_softmax() {
    let alike = [(1, 1), (2, 1), (63, 1), (64, 1), (65, 2), (127, 2), (128, 2), (129, 3), (640, 10)];
    let all = alike.map(|(keys, chunks)| (keys, false, chunks)).into_iter();
    for (keys, has_extra_key, chunks) in all.chain([(2, true, 2), (65, true, 2), (66, true, 3), (130, true, 4)]) {
        let (plan, found) = plan(keys, has_extra_key);
        assert_eq!(found, chunks, "{keys} keys");
        let keys = keys as usize;
        let shapes = [("q", [2, 3, 10], 7919), ("k", [2, keys, 10], 6101), ("v", [2, keys, 8], 3571)];
        let given: Tensors = shapes.map(|(name, shape, factor)| (name.to_owned(), numbers(shape, factor))).into_iter().collect();
        let outputs = reference::run(&plan, &given, Route::Kernels).expect("runs");
        for (found, expected) in outputs["out"].data().iter().zip(plain(&given, keys)) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{keys} keys: {found} {expected}");
        }
    }
}

#[test]
fn what_does_not_fit_32_bits_is_refused() {
    let of =
        |sizes| Streamed::new(&mut PlanBuilder::new(PlanLimits { scratch_bytes: 1, ..PlanLimits::default() }), sizes).is_err();
    assert!(of(StreamedSizes { heads: 1 << 16, rows: 1 << 16, keys: 1, ..SIZES }));
    assert!(of(StreamedSizes { keys: u32::MAX, ..SIZES }));
    assert!(of(StreamedSizes { keys: 1 << 20, value_size: 1 << 12, ..SIZES }));
}

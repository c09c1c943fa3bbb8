//! Seeded draws: made on the host by a counter-based generator, so that a seed gives the same bits on every run and adapter.

use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// What a draw is for: each use has streams of its own.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Start,
    Candidates,
    Prototypes,
    Projection,
    Inputs,
}

fn generator(seed: u64, of: Use, group: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(((of as u64) << 56) | group);
    random
}

/// Returns `count` numbers from `-scale` to `scale`, the same for the same seed and group.
pub fn values(seed: u64, group: u64, count: usize, scale: f32) -> Vec<f32> {
    let mut random = generator(seed, Use::Inputs, group);
    (0..count).map(|_| random.random_range(-1.0f32..1.0) * scale).collect()
}

/// One of `count` places.
pub(crate) fn index(seed: u64, group: u64, count: u32) -> u32 {
    generator(seed, Use::Start, group).random_range(0..count)
}

/// `amount` of `count` places, all different, in ascending order. `kept` is among them.
pub(crate) fn indices(seed: u64, of: Use, group: u64, count: u32, amount: u32, kept: Option<u32>) -> Vec<u32> {
    let mut random = generator(seed, of, group);
    let drawn = u32::from(kept.is_some());
    // What is kept is left out of the draw, and the places above it move down by one.
    let others = sample(&mut random, (count - drawn) as usize, (amount - drawn) as usize);
    let others = others.into_iter().map(|index| index as u32);
    let mut all: Vec<u32> = others.map(|index| index + u32::from(kept.is_some_and(|kept| index >= kept))).chain(kept).collect();
    all.sort_unstable();
    all
}

/// A projection for positive random features, `[features, size]`: rows are orthogonal within blocks of `size`, and their lengths are
/// distributed as those of Gaussian vectors (Choromanski et al., ICLR 2021, section 2.4).
pub(crate) fn orthogonal_projection(seed: u64, features: usize, size: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(features * size);
    for block in 0..features.div_ceil(size) {
        let mut random = generator(seed, Use::Projection, block as u64);
        let mut gaussian = || -> Vec<f64> { (0..size).map(|_| random.sample(StandardNormal)).collect() };
        let mut directions: Vec<Vec<f64>> = Vec::new();
        for _ in 0..size.min(features - block * size) {
            let direction = orthogonal_to(&directions, gaussian());
            let length = dot(&direction, &direction).sqrt();
            let other = gaussian();
            let wanted = dot(&other, &other).sqrt();
            rows.extend(direction.iter().map(|value| (value / length * wanted) as f32));
            directions.push(direction.iter().map(|value| value / length).collect());
        }
    }
    rows
}

/// What is left of a vector beside unit vectors that are orthogonal to each other; twice, so that rounding does not add up.
fn orthogonal_to(directions: &[Vec<f64>], mut vector: Vec<f64>) -> Vec<f64> {
    for direction in directions.iter().chain(directions) {
        let along = dot(&vector, direction);
        vector.iter_mut().zip(direction).for_each(|(value, unit)| *value -= along * unit);
    }
    vector
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_distinct_sorted_and_the_same_for_a_seed() {
        let drawn = indices(7, Use::Candidates, 3, 100, 40, Some(99));
        assert_eq!(drawn, indices(7, Use::Candidates, 3, 100, 40, Some(99)));
        assert_ne!(drawn, indices(7, Use::Candidates, 4, 100, 40, Some(99)));
        assert_ne!(drawn, indices(7, Use::Prototypes, 3, 100, 40, Some(99)));
        assert!(drawn.len() == 40 && drawn.windows(2).all(|pair| pair[0] < pair[1]) && drawn[39] == 99);
        assert_eq!(indices(1, Use::Prototypes, 0, 5, 5, None), [0, 1, 2, 3, 4]);
        // Written down once: another version of the generator must not change what seeds mean.
        assert_eq!(indices(0, Use::Prototypes, 0, 1000, 4, None), [574, 590, 698, 829]);
    }

    #[test]
    fn projections_are_orthogonal_within_blocks_and_as_long_as_gaussians() {
        let (features, size) = (150, 64);
        let rows: Vec<Vec<f64>> = orthogonal_projection(1, features, size)
            .chunks(size)
            .map(|row| row.iter().map(|&value| f64::from(value)).collect())
            .collect();
        assert_eq!(rows.len(), features);
        for (a, b) in [(0, 1), (3, 63), (64, 127), (128, 149)] {
            assert!(dot(&rows[a], &rows[b]).abs() < 1e-4, "{a} {b}");
        }
        assert!(dot(&rows[0], &rows[64]).abs() > 1e-3, "blocks are independent");
        let mean_square = rows.iter().map(|row| dot(row, row)).sum::<f64>() / features as f64;
        assert!((mean_square / size as f64 - 1.0).abs() < 0.05, "{mean_square}");
    }
}

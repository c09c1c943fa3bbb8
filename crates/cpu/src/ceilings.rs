//! What the processor can do at the most: multiply-adds in registers, and copies of memory.

use std::hint::black_box;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use web_time::Instant;

use super::engine::CpuEngine;
use super::memory::filled;
use orthoformer::Result;

/// Sums that do not wait for each other.
const SUMS: usize = 12;
/// Multiply-adds of each sum in a run.
const STEPS: usize = 2_000_000;
/// Runs of each; the best counts, since a ceiling is what is possible.
const RUNS: usize = 7;
/// Elements of each of the two arrays of a copy: more than caches hold.
const COPIED: u64 = 32 << 20;

impl CpuEngine {
    /// Multiply-adds of 32-bit floats a second, on all threads.
    pub fn multiply_add_rate(&self) -> f64 {
        let work = || {
            let start = Instant::now();
            let counts: usize = self.install(|| {
                let threads = 0..rayon::current_num_threads();
                threads.into_par_iter().with_max_len(1).map(|_| self.context().dispatch(MultiplyAdds)).sum()
            });
            counts as f64 / start.elapsed().as_secs_f64()
        };
        (0..RUNS).map(|_| work()).fold(0.0, f64::max)
    }

    /// Bytes read and written a second by a copy, on all threads.
    ///
    /// # Errors
    /// [`orthoformer::Error::OutOfMemory`].
    pub fn copy_rate(&self) -> Result<f64> {
        let from = filled("a copy's source", COPIED, 1.0)?;
        let mut to = filled("a copy", COPIED, 0.0)?;
        let part = from.len().div_ceil(self.threads());
        let mut best = 0.0f64;
        for _ in 0..RUNS {
            let start = Instant::now();
            self.install(|| to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from)));
            best = best.max(8.0 * COPIED as f64 / start.elapsed().as_secs_f64());
            black_box(&to);
        }
        Ok(best)
    }
}

/// Multiply-adds in registers; returns how many.
struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let mut sums = [simd.splat_f32s(1.0); SUMS];
        let (factor, summand) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(0.25)));
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, summand);
            }
        }
        let mut all = simd.splat_f32s(0.0);
        for sum in sums {
            all = simd.add_f32s(all, sum);
        }
        // Each has come to a half: no step was left out.
        let right = (simd.reduce_sum_f32s(all) - 0.5 * (SUMS * S::F32_LANES) as f32).abs() < 1e-3;
        if right { SUMS * STEPS * S::F32_LANES } else { 0 }
    }
}

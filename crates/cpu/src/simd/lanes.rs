//! Loops over rows: whole vectors, then the rest as a part of one.
//!
//! They are macros because a closure does not inherit the instruction set of the function around it: where the compiler does not inline one
//! (a long one, such as an exponential), each of its instructions becomes a call.

use pulp::Simd;

/// `map!(simd, row, |x| f(x))` replaces each element of a row by `f` of it.
macro_rules! map {
    ($simd:expr, $row:expr, |$x:ident| $f:expr) => {{
        let (vectors, rest) = S::as_mut_simd_f32s($row);
        for vector in vectors {
            let $x = *vector;
            *vector = $f;
        }
        if !rest.is_empty() {
            let $x = $simd.partial_load_f32s(rest);
            let result = $f;
            $simd.partial_store_f32s(rest, result);
        }
    }};
}

/// `map2!(simd, row, other, |x, y| f(x, y))` replaces each element by `f` of it and the element of another row (as long) at its place.
macro_rules! map2 {
    ($simd:expr, $row:expr, $other:expr, |$x:ident, $y:ident| $f:expr) => {{
        let (vectors, rest) = S::as_mut_simd_f32s($row);
        let (others, other_rest) = S::as_simd_f32s($other);
        for (vector, other) in vectors.iter_mut().zip(others) {
            let ($x, $y) = (*vector, *other);
            *vector = $f;
        }
        if !rest.is_empty() {
            let ($x, $y) = ($simd.partial_load_f32s(rest), $simd.partial_load_f32s(other_rest));
            let result = $f;
            $simd.partial_store_f32s(rest, result);
        }
    }};
}

/// `fold!(simd, row, start, |sum, x| f(sum, x), |a, b| merge(a, b))` folds a row lane by lane into four accumulators and merges them.
/// Lanes beyond the end keep what they have.
macro_rules! fold {
    ($simd:expr, $row:expr, $start:expr, |$sum:ident, $x:ident| $f:expr, |$a:ident, $b:ident| $merge:expr) => {{
        let mut sums = [$simd.splat_f32s($start); 4];
        let (vectors, rest) = S::as_simd_f32s($row);
        let (fours, others) = vectors.as_chunks::<4>();
        for four in fours {
            for (sum, vector) in sums.iter_mut().zip(four) {
                let ($sum, $x) = (*sum, *vector);
                *sum = $f;
            }
        }
        for (sum, vector) in sums.iter_mut().zip(others) {
            let ($sum, $x) = (*sum, *vector);
            *sum = $f;
        }
        if !rest.is_empty() {
            let inside = $simd.mask_between_m32s(0, rest.len() as u32).mask();
            let ($sum, $x) = (sums[3], $simd.partial_load_f32s(rest));
            sums[3] = $simd.select_f32s(inside, $f, $sum);
        }
        let [a, b, c, d] = sums;
        let ($a, $b) = (a, b);
        let front = $merge;
        let ($a, $b) = (c, d);
        let back = $merge;
        let ($a, $b) = (front, back);
        $merge
    }};
}

pub(crate) use {fold, map, map2};

/// The lanes of a vector.
#[inline(always)]
pub fn lanes_of<S: Simd>(vector: &S::f32s) -> &[f32] {
    bytemuck::cast_slice(std::slice::from_ref(vector))
}

/// The first lane.
#[inline(always)]
pub fn first_of<S: Simd>(vector: S::f32s) -> f32 {
    lanes_of::<S>(&vector).first().copied().unwrap_or(f32::NAN)
}

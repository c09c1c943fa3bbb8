//! The vector code against float64 loops, by every instruction set of the machine.

use pulp::{Arch, Simd, WithSimd};

use super::activation::Activation;
use super::epilogue::{LinearEpilogue, Plain};
use super::matrix::{Matrix, Rows, RowsMut};
use super::panels::Panels;
use super::product::Product;

/// Every instruction set that the machine has.
fn archs() -> Vec<Arch> {
    #[cfg(target_arch = "x86_64")]
    {
        let v3 = pulp::x86::V3::try_new().map(Arch::V3);
        let v4 = pulp::x86::V4::try_new().map(Arch::V4);
        [Some(Arch::Scalar), v3, v4].into_iter().flatten().collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec![Arch::new()]
}

/// Runs a closure's worth of vector code: a `WithSimd` for each expression.
macro_rules! with_simd {
    ($arch:expr, ($($name:ident: $type:ty = $value:expr),* $(,)?), |$simd:ident| -> $out:ty { $($body:tt)* }) => {{
        #[allow(unused_lifetimes)]
        struct Op<'e> { $($name: $type,)* _marker: std::marker::PhantomData<&'e ()> }
        impl<'e> WithSimd for Op<'e> {
            type Output = $out;
            #[inline(always)]
            fn with_simd<S: Simd>(self, $simd: S) -> $out {
                let Op { $($name,)* .. } = self;
                $($body)*
            }
        }
        $arch.dispatch(Op { $($name: $value,)* _marker: std::marker::PhantomData })
    }};
}

fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn pack(arch: Arch, panels: &mut Panels, matrix: Matrix<'_>, inner: usize, columns: usize) {
    with_simd!(arch, (panels: &'e mut Panels = panels, matrix: Matrix<'e> = matrix, inner: usize = inner, columns: usize = columns),
        |simd| -> () { panels.pack(simd, matrix, inner, columns) });
}

fn multiply(arch: Arch, product: Product<'_>, c: RowsMut<'_>, epilogue: Option<LinearEpilogue<'_>>) {
    with_simd!(arch, (product: Product<'e> = product, c: RowsMut<'e> = c, epilogue: Option<LinearEpilogue<'e>> = epilogue),
    |simd| -> () {
        match epilogue {
            Some(epilogue) => product.run(simd, c, &epilogue),
            None => product.run(simd, c, &Plain),
        }
    });
}

/// Asserts that each element is within `tolerance` of what is expected, NaN being right only where expected.
fn assert_close(got: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (at, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let right = if expected.is_nan() { got.is_nan() } else { (f64::from(got) - expected).abs() <= tolerance };
        assert!(right, "{what}: element {at} is {got}, not {expected}");
    }
}

mod attention;
mod elements;
mod products;

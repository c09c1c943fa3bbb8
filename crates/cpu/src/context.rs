//! What kernels compute with: an instruction set, and buffers of each thread.

use std::sync::{Mutex, PoisonError};

use pulp::{Arch, WithSimd};

use super::simd::attention::{AttentionScratch, Keys};
use super::simd::matrix::Aligned;
use super::simd::panels::Panels;

/// Buffers of a thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub attention: AttentionScratch,
    pub rows: Aligned,
    pub others: Aligned,
    pub weights: Aligned,
    pub keys: Keys,
    pub values: Panels,
}

/// What all steps of a run share.
#[derive(Debug)]
pub(crate) struct Context {
    arch: Arch,
    /// By the number of the thread. No task waits for another while it holds its own.
    scratch: Vec<Mutex<Scratch>>,
}

impl Context {
    pub fn new(threads: usize) -> Self {
        Self { arch: Arch::new(), scratch: (0..threads).map(|_| Mutex::default()).collect() }
    }

    /// Computes on the widest vectors there are.
    pub fn dispatch<W: WithSimd>(&self, work: W) -> W::Output {
        self.arch.dispatch(work)
    }

    /// The buffers of this thread.
    pub fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let thread = rayon::current_thread_index().unwrap_or(0);
        match self.scratch.get(thread) {
            Some(scratch) => work(&mut scratch.lock().unwrap_or_else(PoisonError::into_inner)),
            None => work(&mut Scratch::default()),
        }
    }

    /// Name of the instruction set.
    pub fn instructions(&self) -> &'static str {
        struct Name;
        impl WithSimd for Name {
            type Output = &'static str;
            fn with_simd<S: pulp::Simd>(self, _: S) -> &'static str {
                match S::F32_LANES {
                    16 => "vectors of 16 (AVX-512)",
                    8 => "vectors of 8",
                    4 => "vectors of 4",
                    _ => "no vectors",
                }
            }
        }
        self.dispatch(Name)
    }
}

//! Slices of long dispatches, so that none keeps a device busy for long.

use std::time::Duration;

use super::summary::AdapterSummary;
use crate::error::Result;
use crate::plan::fold_grid;

/// Assumed multiply-adds a second of a device that was not measured: a low estimate.
pub(super) fn believed_rate(adapter: &AdapterSummary) -> f64 {
    match adapter.kind.as_str() {
        "cpu" => 2e9,
        "discrete gpu" => 1e12,
        _ => 5e10,
    }
}

/// A part of a dispatch's workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// Index of its first workgroup.
    pub first: u32,
    /// Workgroups in x, y and z.
    pub grid: [u32; 3],
}

/// How long dispatches may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub longest: Duration,
    /// Multiply-adds a second.
    pub rate: f64,
    /// Workgroups in one dimension of a dispatch.
    pub per_dimension: u32,
}

impl Pace {
    /// Cuts a dispatch into slices: one if it is short enough. Slices fill their grids exactly, so that none overlaps the next.
    ///
    /// # Errors
    /// [`crate::Error::TooManyWorkgroups`].
    pub fn slices(&self, kernel: &'static str, workgroups: u64, multiply_adds: u64) -> Result<Vec<Slice>> {
        let grid = fold_grid(kernel, workgroups, self.per_dimension)?;
        let seconds = multiply_adds as f64 / self.rate.max(1.0);
        let parts = (seconds / self.longest.as_secs_f64().max(1e-6)).ceil().clamp(1.0, workgroups as f64) as u64;
        let in_a_row = u64::from(self.per_dimension).min(u32::MAX.into());
        if parts == 1 {
            return Ok(vec![Slice { first: 0, grid }]);
        }
        let size = workgroups.div_ceil(parts).min(in_a_row).max(1);
        let slice = |first: u64| Slice { first: first as u32, grid: [size.min(workgroups - first) as u32, 1, 1] };
        Ok((0..workgroups).step_by(size as usize).map(slice).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { longest: Duration::from_millis(500), rate: 1e9, per_dimension: 100 };

    #[test]
    fn short_work_stays_whole() {
        assert_eq!(PACE.slices("k", 250, 1_000).expect("fits"), [Slice { first: 0, grid: [84, 3, 1] }]);
        assert_eq!(PACE.slices("k", 1, 1 << 40).expect("fits"), [Slice { first: 0, grid: [1, 1, 1] }]);
    }

    #[test]
    fn long_work_is_cut_without_overlap() {
        for (workgroups, multiply_adds) in [(250, 1_600_000_000), (10_000, 1_000_000_000), (7, 1 << 40), (3, 600_000_000)] {
            let slices = PACE.slices("k", workgroups, multiply_adds).expect("fits");
            let mut next = 0;
            for slice in &slices {
                assert_eq!((u64::from(slice.first), slice.grid[1..].to_vec()), (next, vec![1, 1]));
                assert!(slice.grid[0] <= PACE.per_dimension);
                next += u64::from(slice.grid[0]);
            }
            assert!(next == workgroups && slices.len() > 1, "{workgroups} {slices:?}");
        }
    }
}

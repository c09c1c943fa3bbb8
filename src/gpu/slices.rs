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

impl Slice {
    /// Workgroups of its grid.
    pub fn workgroups(&self) -> u64 {
        self.grid.iter().map(|&size| u64::from(size)).product()
    }
}

/// Most slices of a dispatch that is spread over frames, unless a dimension of a grid holds too little.
const FINE_SLICES: u64 = 256;

/// Cuts a dispatch as finely as budgets of milliseconds need. Sizes are powers of two, so that dispatches begin slices at the same workgroups.
pub(super) fn fine_slices(workgroups: u64, per_dimension: u32) -> Vec<Slice> {
    let longest = 1 << u64::from(per_dimension.max(1)).ilog2();
    let size = workgroups.div_ceil(FINE_SLICES).next_power_of_two().min(longest);
    let slice = |first: u64| Slice { first: first as u32, grid: [size.min(workgroups - first) as u32, 1, 1] };
    (0..workgroups).step_by(size as usize).map(slice).collect()
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
    fn fine_slices_cover_every_workgroup_once() {
        for (workgroups, per_dimension) in [(1, 65_535), (255, 65_535), (256, 65_535), (257, 65_535), (1 << 20, 65_535), (999, 3)]
        {
            let slices = fine_slices(workgroups, per_dimension);
            let next = slices.iter().fold(0, |next, slice| {
                assert_eq!((u64::from(slice.first), slice.grid[1..].to_vec()), (next, vec![1, 1]));
                assert!((1..=per_dimension).contains(&slice.grid[0]));
                next + slice.workgroups()
            });
            assert_eq!(next, workgroups);
            assert!(per_dimension == 3 || slices.len() <= 256, "{workgroups}: {}", slices.len());
        }
    }

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

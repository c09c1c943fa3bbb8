//! How long to measure.

/// Runs without which there are no quartiles to speak of.
pub(super) const FEWEST_RUNS: usize = 3;

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// So many runs ...
    pub runs: usize,
    /// ... or so many seconds, if the runs take longer; three runs at the least.
    pub seconds: f64,
    /// Whether stages are timed by themselves too.
    pub stages: bool,
}

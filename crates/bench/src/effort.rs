//! How long to measure.

/// Runs without which nothing is said of a median.
pub(super) const FEWEST_RUNS: usize = 5;

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Rounds, in which everything is run once.
    pub runs: usize,
    /// Seconds for the runs of a row: what takes longer is left out of some rounds, but not of so many that fewer than five are left.
    pub seconds: f64,
    /// Whether stages are timed by themselves too.
    pub stages: bool,
}

impl Effort {
    /// In how many of the rounds something runs that takes so many seconds.
    pub(super) fn runs_of(&self, seconds: f64) -> usize {
        // What does not fit an integer is as many as there are.
        let affordable = (self.seconds / seconds.max(1e-9)) as usize;
        affordable.max(FEWEST_RUNS).min(self.runs)
    }

    /// Whether something that has so many runs runs in a round: they are spread evenly.
    pub(super) fn takes_part(&self, runs: usize, round: usize) -> bool {
        self.runs_from(runs, round) > self.runs_from(runs, round + 1)
    }

    /// How many of its runs come in this round and later.
    pub(super) fn runs_from(&self, runs: usize, round: usize) -> usize {
        let before = round as u128 * runs as u128 / self.runs.max(1) as u128;
        runs.saturating_sub(before as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_rows_run_in_fewer_rounds_from_beginning_to_end() {
        let effort = Effort { runs: 20, seconds: 2.0, stages: false };
        assert_eq!([0.0, 0.001, 0.1, 0.25, 1.0, 1e9].map(|seconds| effort.runs_of(seconds)), [20, 20, 20, 8, 5, 5]);
        assert_eq!(Effort { runs: 2, ..effort }.runs_of(1.0), 2);
        for runs in [2, 5, 8, 20] {
            let rounds: Vec<usize> = (0..20).filter(|&round| effort.takes_part(runs, round)).collect();
            assert_eq!(rounds.len(), runs);
            assert!(rounds.windows(2).all(|pair| pair[1] - pair[0] <= 20usize.div_ceil(runs)), "{rounds:?}");
        }
    }
}

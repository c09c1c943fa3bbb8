//! Medians of times, and how sure they are.

use serde::{Deserialize, Serialize};

/// Least probability with which an interval holds the median.
const CONFIDENCE: f64 = 0.99;

/// What is said of a number of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Median.
    pub median: f64,
    /// Third quartile less the first.
    pub iqr: f64,
}

impl Summary {
    /// Median and quartiles, between neighbours where they fall between (Hyndman and Fan's seventh definition). `None` without any time.
    pub fn of(times: &[f64]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quantile = |part: f64| {
            let place = part * (sorted.len().checked_sub(1)? as f64);
            let (below, above) = (*sorted.get(place.floor() as usize)?, *sorted.get(place.ceil() as usize)?);
            Some(below + (above - below) * place.fract())
        };
        Some(Self { median: quantile(0.5)?, iqr: quantile(0.75)? - quantile(0.25)? })
    }
}

/// From where to where something may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// The narrowest interval between two of the samples, as far from either end, that holds the median of what they are drawn from with a
    /// probability of at least 99 %, whatever the distribution; from the least to the largest where there are too few for that (eight are
    /// enough). `None` without samples.
    ///
    /// Of `n` samples `k` lie below the median with the probability `C(n, k) / 2^n` (H. A. David, *Order Statistics*, 7.1).
    pub fn of_median(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        // Probability that at most `cut` samples lie below the median, term by term.
        let (mut term, mut below, mut cut) = (0.5f64.powi(i32::try_from(count).ok()?), 0.0, 0);
        while cut < count / 2 && below + term <= (1.0 - CONFIDENCE) / 2.0 {
            below += term;
            term *= (count - cut) as f64 / (cut + 1) as f64;
            cut += 1;
        }
        let cut = cut.saturating_sub(1);
        Some(Self { low: *sorted.get(cut)?, high: *sorted.get(count - 1 - cut)? })
    }

    /// The interval of a quotient.
    pub fn over(self, divisor: Self) -> Self {
        Self { low: self.low / divisor.high, high: self.high / divisor.low }
    }

    /// The least interval that holds both.
    pub fn and(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_the_textbook() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[3.0]), Some(Summary { median: 3.0, iqr: 0.0 }));
        assert_eq!(Summary::of(&[4.0, 1.0, 3.0, 2.0]), Some(Summary { median: 2.5, iqr: 1.5 }));
        assert_eq!(Summary::of(&[5.0, 1.0, 4.0, 2.0, 3.0]), Some(Summary { median: 3.0, iqr: 2.0 }));
    }

    #[test]
    fn intervals_of_medians_are_those_of_the_textbook() {
        let ranks = |count: usize| {
            let samples: Vec<f64> = (1..=count).rev().map(|rank| rank as f64).collect();
            Interval::of_median(&samples).map(|interval| [interval.low, interval.high])
        };
        assert_eq!(ranks(0), None);
        // Tables of the sign test: at 99 %, ranks 1 to 8 of 8, 2 to 11 of 12, 4 to 17 of 20, 16 to 35 of 50.
        assert_eq!(
            [1, 3, 7, 8, 12, 20, 50].map(ranks),
            [[1.0, 1.0], [1.0, 3.0], [1.0, 7.0], [1.0, 8.0], [2.0, 11.0], [4.0, 17.0], [16.0, 35.0]].map(Some)
        );
    }

    #[test]
    fn quotients_are_as_unsure_as_both() {
        let interval = |low, high| Interval { low, high };
        assert_eq!(interval(2.0, 4.0).over(interval(1.0, 2.0)), interval(1.0, 4.0));
        assert_eq!(interval(2.0, 4.0).and(interval(3.0, 5.0)), interval(2.0, 5.0));
    }
}

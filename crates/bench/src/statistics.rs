//! Median and quartiles of times.

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
}

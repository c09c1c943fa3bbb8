//! Which clock times what runs on the device.

use orthoformer::gpu::Timing;
use serde::{Deserialize, Serialize};

/// The clock that times are taken by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Timestamps on the device.
    Timestamps,
    /// The host's, around submitting and waiting; for this reason.
    Wall(String),
}

/// What long work takes on the device at the least, as a part of what the host waits for it.
const LEAST_PART: f64 = 0.6;

impl Clock {
    /// Chooses by some timings of long work (tens of milliseconds): next to that a submission costs nothing, so that both clocks have to
    /// say about the same.
    pub fn of(has_timestamps: bool, timings: &[Timing]) -> Self {
        if !has_timestamps {
            return Self::Wall("the adapter has no timestamp queries".to_owned());
        }
        let parts: Option<Vec<f64>> =
            timings.iter().map(|timing| Some(timing.device()?.as_secs_f64() / timing.wall.as_secs_f64())).collect();
        match parts {
            None => Self::Wall("the driver's timestamps are zero, run backwards, or exceed the host's time".to_owned()),
            Some(parts) => match parts.iter().find(|part| **part < LEAST_PART) {
                Some(part) => Self::Wall(format!("the driver's timestamps say {:.0} % of the host's time", 100.0 * part)),
                None => Self::Timestamps,
            },
        }
    }

    /// Seconds that a submission took. A run whose timestamps are impossible counts by the host's clock.
    pub fn seconds(&self, timing: &Timing) -> f64 {
        match self {
            Self::Timestamps => timing.device().unwrap_or(timing.wall).as_secs_f64(),
            Self::Wall(_) => timing.wall.as_secs_f64(),
        }
    }
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timestamps => write!(f, "timestamp queries on the device"),
            Self::Wall(why) => write!(f, "wall time on the host ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps_far_off_the_host_are_not_used() {
        let timing = |wall, device: Option<u64>| Timing {
            wall: Duration::from_millis(wall),
            passes: device.map(|device| vec![Duration::from_millis(device)]),
        };
        assert_eq!(Clock::of(true, &[timing(30, Some(29)), timing(30, Some(28))]), Clock::Timestamps);
        assert!(matches!(Clock::of(false, &[timing(30, None)]), Clock::Wall(why) if why.contains("no timestamp")));
        assert!(matches!(Clock::of(true, &[timing(30, Some(29)), timing(30, None)]), Clock::Wall(_)));
        let Clock::Wall(why) = Clock::of(true, &[timing(30, Some(3))]) else { panic!("a tenth passed") };
        assert!(why.contains("10 %"), "{why}");
        assert_eq!(Clock::Timestamps.seconds(&timing(30, Some(29))), 0.029);
        assert_eq!(Clock::Wall(String::new()).seconds(&timing(30, Some(29))), 0.030);
    }
}

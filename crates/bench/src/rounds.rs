//! Timing in rounds over the whole run: in each round the calibrators, then everything that takes part in it once.
//!
//! What slows the machine for a while slows all of them in the same rounds, and shows as noise between rounds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use orthoformer::{Error, Result};

use super::calibration::Calibrator;
use super::effort::Effort;
use super::request::Progress;
use super::runner::{Ready, StageRun};
use super::statistics::Summary;

/// Bytes that what is ready may hold together; what is beyond is made ready again in each round.
const KEPT_BYTES: u64 = 1 << 30;

/// Runs of a calibrator in a round, of which the median counts.
const CALIBRATIONS: usize = 3;

/// Makes plans ready that run one after the other.
pub(super) type MakeReady<'r> = Box<dyn Fn() -> Result<Vec<Box<dyn Ready + 'r>>> + 'r>;

/// Rates of calibrators by their names, round by round.
pub(super) type Calibrations = BTreeMap<String, Vec<f64>>;

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub round: usize,
    pub seconds: f64,
    /// Seconds of each dispatch, in a run of its own; `None` where nobody asked or the clock failed.
    pub dispatches: Option<Vec<f64>>,
}

/// What is timed in rounds.
pub(super) struct Contender<'r> {
    make: MakeReady<'r>,
    kept: Option<Vec<Box<dyn Ready + 'r>>>,
    stages: bool,
    /// In how many rounds it runs.
    runs: usize,
    /// What a round took on the host's clock so far: seconds together, and how often.
    spent: (f64, usize),
    pub device_bytes: u64,
    /// How each dispatch runs.
    pub stage_runs: Vec<StageRun>,
    /// The run by which its length was found.
    pub first: Sample,
    pub samples: Vec<Sample>,
    /// Why it could not go on, if so.
    pub failure: Option<String>,
}

impl Contender<'_> {
    /// Its runs in rounds; the first one where there are none yet.
    pub fn known(&self) -> &[Sample] {
        if self.samples.is_empty() { std::slice::from_ref(&self.first) } else { &self.samples }
    }

    fn mean(&self) -> f64 {
        self.spent.0 / self.spent.1.max(1) as f64
    }

    fn run(&mut self, round: usize) -> Result<()> {
        let start = Instant::now();
        let made;
        let ready = match &self.kept {
            Some(kept) => kept,
            None => {
                made = (self.make)()?;
                seconds(&made, 2 * round)?;
                &made
            }
        };
        let sample = sample(ready, round, self.stages)?;
        self.samples.push(sample);
        self.spent = (self.spent.0 + start.elapsed().as_secs_f64(), self.spent.1 + 1);
        Ok(())
    }
}

/// What is timed, and what it is timed beside.
pub(super) struct Rounds<'r> {
    effort: Effort,
    calibrators: Vec<Calibrator<'r>>,
    held_bytes: u64,
    pub contenders: Vec<Contender<'r>>,
    pub calibrations: Calibrations,
    /// Rounds that are over.
    pub done: usize,
}

impl<'r> Rounds<'r> {
    pub fn new(effort: Effort, calibrators: Vec<Calibrator<'r>>) -> Self {
        Self { effort, calibrators, held_bytes: 0, contenders: Vec::new(), calibrations: Calibrations::new(), done: 0 }
    }

    /// Adds a contender, and runs it to see how long that takes. Returns its index.
    pub fn add(&mut self, make: MakeReady<'r>, stages: bool) -> Result<usize> {
        let ready = make()?;
        let start = Instant::now();
        let mut first = sample(&ready, 0, stages)?;
        // Where there is time for it, the run with cold caches and a cold clock does not count.
        if start.elapsed().as_secs_f64() < self.effort.seconds {
            first = sample(&ready, 1, stages)?;
        }
        let held: u64 = ready.iter().map(|ready| ready.held_bytes()).sum();
        let device_bytes = ready.iter().map(|ready| ready.device_bytes()).max().unwrap_or(0);
        let stage_runs = ready.iter().flat_map(|ready| ready.stage_runs()).collect();
        let is_kept = self.held_bytes + held <= KEPT_BYTES;
        let kept = is_kept.then_some(ready);
        self.held_bytes += if is_kept { held } else { 0 };
        // A guess for the time left, until there is a round.
        let spent = (first.seconds * if stages { 2.0 } else { 1.0 }, 1);
        let runs = self.effort.runs_of(first.seconds);
        let (samples, failure) = (Vec::new(), None);
        self.contenders.push(Contender { make, kept, stages, runs, spent, device_bytes, stage_runs, first, samples, failure });
        Ok(self.contenders.len() - 1)
    }

    /// Runs all rounds. `step` is told ahead of each run what comes next, and breaks to stop.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], and what calibrators meet. Other errors are the contender's own.
    pub fn run(&mut self, mut step: impl FnMut(Progress<'_>) -> ControlFlow<()>) -> Result<ControlFlow<()>> {
        let (start, mut calibrating) = (Instant::now(), (0.0, 0));
        for round in 0..if self.contenders.is_empty() { 0 } else { self.effort.runs } {
            let name = format!("round {} of {}", round + 1, self.effort.runs);
            let began = Instant::now();
            self.calibrate()?;
            calibrating = (calibrating.0 + began.elapsed().as_secs_f64(), calibrating.1 + 1);
            let mut order: Vec<usize> = (0..self.contenders.len()).collect();
            // Nothing always follows the same.
            if round % 2 == 1 {
                order.reverse();
            }
            for (number, &index) in order.iter().enumerate() {
                let rest = order.get(number..).unwrap_or_default();
                let left =
                    self.left(round, rest) + (self.effort.runs - round - 1) as f64 * calibrating.0 / f64::from(calibrating.1);
                let Some(contender) = self.contenders.get_mut(index) else { continue };
                if contender.failure.is_some() || !self.effort.takes_part(contender.runs, round) {
                    continue;
                }
                let elapsed = start.elapsed().as_secs_f64();
                let part = elapsed / (elapsed + left).max(f64::MIN_POSITIVE);
                let left = Duration::try_from_secs_f64(left).ok();
                if step(Progress { next: &name, part, left }).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                match contender.run(round) {
                    Ok(()) => {}
                    Err(error @ Error::DeviceLost { .. }) => return Err(error),
                    Err(error) => contender.failure = Some(error.to_string()),
                }
            }
            self.done = round + 1;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn calibrate(&mut self) -> Result<()> {
        for Calibrator { name, rate } in &self.calibrators {
            let rates = (0..CALIBRATIONS).map(|_| rate()).collect::<Result<Vec<_>>>()?;
            let median = Summary::of(&rates).map_or(f64::NAN, |summary| summary.median);
            self.calibrations.entry((*name).to_owned()).or_default().push(median);
        }
        Ok(())
    }

    /// Seconds that are left for these contenders in this round, and for all of them in later ones.
    fn left(&self, round: usize, rest: &[usize]) -> f64 {
        let of = |index: usize, contender: &Contender<'_>| {
            let now = usize::from(rest.contains(&index) && self.effort.takes_part(contender.runs, round));
            let later = self.effort.runs_from(contender.runs, round + 1);
            if contender.failure.is_some() { 0.0 } else { (now + later) as f64 * contender.mean() }
        };
        self.contenders.iter().enumerate().map(|(index, contender)| of(index, contender)).sum()
    }
}

fn seconds(ready: &[Box<dyn Ready + '_>], number: usize) -> Result<f64> {
    ready.iter().map(|ready| ready.seconds(number)).sum()
}

/// A run, and one with its dispatches apart on other inputs.
fn sample(ready: &[Box<dyn Ready + '_>], round: usize, stages: bool) -> Result<Sample> {
    let seconds = seconds(ready, 2 * round)?;
    let dispatches = match stages {
        true => {
            let apart = ready.iter().map(|ready| ready.dispatches(2 * round + 1)).collect::<Result<Option<Vec<_>>>>()?;
            apart.map(|plans| plans.concat())
        }
        false => None,
    };
    Ok(Sample { round, seconds, dispatches })
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::calibration::of_host;

    /// Takes as long as it says, and holds so many bytes.
    struct Fixed<'t>(f64, u64, &'t RefCell<Vec<f64>>);

    impl Ready for Fixed<'_> {
        fn seconds(&self, _: usize) -> Result<f64> {
            self.2.borrow_mut().push(self.0);
            std::thread::sleep(Duration::from_secs_f64(self.0));
            Ok(self.0)
        }
        fn dispatches(&self, _: usize) -> Result<Option<Vec<f64>>> {
            Ok(Some(vec![self.0 / 2.0; 2]))
        }
        fn device_bytes(&self) -> u64 {
            self.1
        }
        fn held_bytes(&self) -> u64 {
            self.1
        }
    }

    fn ready<'t>(seconds: f64, bytes: u64, log: &'t RefCell<Vec<f64>>) -> MakeReady<'t> {
        Box::new(move || Ok(vec![Box::new(Fixed(seconds, bytes, log)) as Box<dyn Ready + 't>]))
    }

    #[test]
    fn all_run_once_a_round_and_slow_ones_in_some() {
        let log = RefCell::default();
        let mut rounds = Rounds::new(Effort { runs: 12, seconds: 0.012, stages: true }, vec![of_host()]);
        for seconds in [0.0001, 0.002, 0.01] {
            rounds.add(ready(seconds, 1, &log), true).expect("runs");
        }
        log.borrow_mut().clear();
        assert!(rounds.run(|_| ControlFlow::Continue(())).expect("runs").is_continue());
        let counts: Vec<usize> = rounds.contenders.iter().map(|contender| contender.samples.len()).collect();
        assert_eq!((counts, rounds.done), (vec![12, 6, 5], 12));
        assert_eq!(rounds.calibrations["host"].len(), 12);
        // The first round has no room for the others; in the last all run, backwards.
        assert_eq!(log.borrow().last_chunk(), Some(&[0.01, 0.002, 0.0001]));
        let slow = &rounds.contenders[2].samples;
        assert_eq!(slow.iter().map(|sample| sample.round).collect::<Vec<_>>(), [2, 4, 7, 9, 11]);
        assert!(slow.iter().all(|sample| sample.dispatches == Some(vec![0.005; 2])));
    }

    #[test]
    fn what_holds_too_much_is_made_ready_again() {
        let (log, made) = (RefCell::default(), Cell::new(0));
        let mut rounds = Rounds::new(Effort { runs: 3, seconds: 1.0, stages: false }, Vec::new());
        let make = || {
            made.set(made.get() + 1);
            Ok(vec![Box::new(Fixed(0.0, KEPT_BYTES, &log)) as Box<dyn Ready + '_>])
        };
        rounds.add(Box::new(make), false).expect("runs");
        rounds.add(Box::new(make), false).expect("runs");
        assert_eq!(made.get(), 2);
        assert!(rounds.run(|_| ControlFlow::Continue(())).expect("runs").is_continue());
        assert_eq!(made.get(), 2 + 3, "the first is kept");
    }

    #[test]
    fn the_time_left_does_not_jump() {
        let log = RefCell::default();
        let mut rounds = Rounds::new(Effort { runs: 10, seconds: 1.0, stages: false }, vec![of_host()]);
        for seconds in [0.001, 0.03, 0.002, 0.01] {
            rounds.add(ready(seconds, 1, &log), false).expect("runs");
        }
        let (start, mut ends) = (Instant::now(), Vec::new());
        let step = |progress: Progress<'_>| {
            ends.push(start.elapsed().as_secs_f64() + progress.left.expect("known").as_secs_f64());
            ControlFlow::Continue(())
        };
        rounds.run(step).map(drop).expect("runs");
        let end = start.elapsed().as_secs_f64();
        // However busy the machine is, what was said after a round comes true, more or less.
        assert!(ends.iter().skip(4).all(|said| (0.4..2.5).contains(&(said / end))), "{end} {ends:?}");
    }

    #[test]
    fn a_stop_keeps_what_there_is() {
        let log = RefCell::default();
        let mut rounds = Rounds::new(Effort { runs: 10, seconds: 1.0, stages: false }, vec![of_host()]);
        for _ in 0..2 {
            rounds.add(ready(0.0, 1, &log), false).expect("runs");
        }
        let mut steps = 0;
        let step = |_: Progress<'_>| {
            steps += 1;
            if steps > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(rounds.run(step).expect("runs").is_break());
        let counts: Vec<usize> = rounds.contenders.iter().map(|contender| contender.known().len()).collect();
        assert_eq!((counts, rounds.done), (vec![1, 2], 1));
    }
}

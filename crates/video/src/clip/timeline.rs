//! Which pictures of a track are shown, and in which order: by their times, and by the edit list, as players have it.

use std::ops::Range;

use super::samples::Sample;
use super::survey::Edit;

/// Most parts of an edit list, and most pictures that they may show in all: of a long clip, a few times over.
const MOST_PARTS: usize = 256;
const MOST_SHOWN: usize = 1 << 24;
/// The rate of an edit at its own speed.
const NORMAL: i32 = 1 << 16;

/// What is shown of a track.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Timeline {
    /// All samples in the order of their times.
    order: Vec<usize>,
    /// What is decoded, one part after the other.
    pub parts: Vec<Part>,
    /// Frames a second: the mean, where times say so.
    pub frame_rate: Option<f64>,
    /// Samples before the first at which decoding can start, and pictures that need them.
    pub left_out: usize,
}

/// Samples that are decoded in a row, and the pictures of them that are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub decoded: Range<usize>,
    /// A range of the order of times.
    shown: Range<usize>,
}

impl Timeline {
    /// What is shown of samples by an edit list (all of them by an empty one) whose durations are in units of `scale.0` a second, and the samples'
    /// times in `scale.1`. Decoding can start at sample `first`; whether pictures that are shown before it need those before it, is `is_open`.
    ///
    /// # Errors
    /// Words for edits that are not honoured.
    pub fn of(samples: &[Sample], edits: &[Edit], scale: (u32, u32), (first, is_open): (usize, bool)) -> Result<Self, String> {
        let mut order: Vec<usize> = (first..samples.len()).collect();
        order.sort_by_key(|&index| samples[index].time);
        let start = samples.get(first).map_or(0, |sample| sample.time);
        let leading = if is_open { order.partition_point(|&index| samples[index].time < start) } else { 0 };
        let mut timeline = Self { left_out: if edits.is_empty() { first + leading } else { 0 }, ..Self::default() };
        timeline.order = order;
        if edits.is_empty() {
            timeline.parts.push(Part { decoded: first..samples.len(), shown: leading..timeline.order.len() });
        }
        for edit in edits.iter().filter(|edit| edit.duration > 0) {
            let Some(start) = edit.start else { continue };
            if edit.rate != NORMAL {
                return Err(match edit.rate {
                    0 => "its edit list holds a picture for a while, which is not supported".to_owned(),
                    rate => {
                        format!("its edit list plays at {:.2} times the speed, which is not supported", f64::from(rate) / 65536.0)
                    }
                });
            }
            timeline.add(samples, start..start.saturating_add(rescaled(edit.duration, scale)), (first, leading));
            if timeline.parts.len() > MOST_PARTS || timeline.frames() > MOST_SHOWN {
                return Err(format!("its edit list is too long: {MOST_PARTS} parts and {MOST_SHOWN} pictures are supported"));
            }
        }
        if timeline.frames() == 0 && !samples.is_empty() {
            return Err("its edit list shows none of its pictures".to_owned());
        }
        timeline.frame_rate = timeline.mean_rate(samples, scale.1);
        Ok(timeline)
    }

    /// Adds what is shown in a range of times.
    fn add(&mut self, samples: &[Sample], times: Range<i64>, (first, leading): (usize, usize)) {
        let place = |time: i64| self.order.partition_point(|&index| samples[index].time < time);
        let shown = place(times.start).max(leading)..place(times.end);
        let Some(indices) = self.order.get(shown.clone()).filter(|indices| !indices.is_empty()) else { return };
        let earliest = indices.iter().copied().min().unwrap_or(0);
        let last = indices.iter().copied().max().unwrap_or(0);
        // What comes after a sample where decoding can start but is shown before it may need samples before it.
        let time = samples[indices[0]].time;
        let may_start = |&index: &usize| samples[index].is_sync && samples[index].time <= time;
        let start = (first..=earliest).rev().find(may_start).unwrap_or(first);
        self.parts.push(Part { decoded: start..last + 1, shown });
    }

    /// Frames that are shown.
    pub fn frames(&self) -> usize {
        self.parts.iter().map(|part| part.shown.len()).sum()
    }

    /// The samples that a part shows, in order.
    pub fn shown(&self, part: &Part) -> &[usize] {
        self.order.get(part.shown.clone()).unwrap_or_default()
    }

    /// Frames over the seconds that they take; the last one's duration is the others' mean, if it is none.
    fn mean_rate(&self, samples: &[Sample], timescale: u32) -> Option<f64> {
        let (mut units, mut frames) = (0i64, 0usize);
        for part in &self.parts {
            let shown = self.shown(part);
            let (first, last) = (&samples[*shown.first()?], &samples[*shown.last()?]);
            units = units.saturating_add(last.time.saturating_sub(first.time));
            frames += shown.len() - 1;
            // Cut out of a longer one, a clip may claim hours.
            let mean = (last.time.saturating_sub(first.time)) as f64 / (shown.len() - 1).max(1) as f64;
            let is_plausible = last.duration > 0 && (shown.len() == 1 || last.duration as f64 <= 100.0 * mean);
            if is_plausible {
                units = units.saturating_add(last.duration);
                frames += 1;
            }
        }
        (units > 0 && frames > 0).then(|| frames as f64 * f64::from(timescale) / units as f64)
    }
}

/// A duration in other units, rounded.
fn rescaled(duration: u64, (from, to): (u32, u32)) -> i64 {
    let from = u128::from(from.max(1));
    let scaled = (u128::from(duration) * u128::from(to) + from / 2) / from;
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples with these times; decoding can start at every fourth.
    fn samples(times: &[i64]) -> Vec<Sample> {
        let sample = |(index, &time)| Sample { offset: 0, size: 1, time, duration: 10, is_sync: index % 4 == 0, description: 0 };
        times.iter().enumerate().map(sample).collect()
    }

    /// Two groups, I P B B each; of the second one the B need the first.
    const TIMES: [i64; 8] = [0, 30, 10, 20, 60, 70, 40, 50];

    fn edit(start: i64, duration: u64) -> Edit {
        Edit { duration, start: (start >= 0).then_some(start), rate: NORMAL }
    }

    /// What is decoded and shown in each part.
    fn parts(edits: &[Edit], first: (usize, bool)) -> Vec<(Range<usize>, Vec<usize>)> {
        // The movie counts in tenths of the track's units.
        let timeline = Timeline::of(&samples(&TIMES), edits, (10, 100), first).expect("honoured");
        timeline.parts.iter().map(|part| (part.decoded.clone(), timeline.shown(part).to_vec())).collect()
    }

    #[test]
    fn pictures_are_shown_by_their_times_and_edits() {
        let all = vec![0, 2, 3, 1, 6, 7, 4, 5];
        assert_eq!(parts(&[], (0, false)), [(0..8, all.clone())]);
        assert_eq!(parts(&[edit(-1, 5), edit(0, 9)], (0, false)), [(0..8, all)]);
        // From 30 on for 30: the B before the second I need what is before it.
        assert_eq!(parts(&[edit(30, 3)], (0, false)), [(0..8, vec![1, 6, 7])]);
        assert_eq!(parts(&[edit(60, 2)], (0, false)), [(4..6, vec![4, 5])]);
        // One after the other, the later first, and one that shows nothing.
        assert_eq!(parts(&[edit(65, 1), edit(90, 4), edit(5, 2)], (0, false)), [(4..6, vec![5]), (0..4, vec![2, 3])]);
    }

    #[test]
    fn pictures_that_need_what_is_missing_are_left_out() {
        assert_eq!(parts(&[], (4, true)), [(4..8, vec![4, 5])]);
        assert_eq!(parts(&[], (4, false)), [(4..8, vec![6, 7, 4, 5])]);
        assert_eq!(parts(&[edit(40, 3)], (4, true)), [(4..5, vec![4])]);
        let left_out = |edits: &[Edit]| Timeline::of(&samples(&TIMES), edits, (10, 100), (4, true)).expect("honoured").left_out;
        assert_eq!((left_out(&[]), left_out(&[edit(60, 9)])), (6, 0));
    }

    #[test]
    fn other_edits_are_refused_in_words() {
        let refused = |edits: &[Edit]| Timeline::of(&samples(&TIMES), edits, (10, 100), (0, false)).expect_err("refused");
        let rate = |rate| refused(&[Edit { rate, ..edit(0, 1) }]);
        assert_eq!(rate(0), "its edit list holds a picture for a while, which is not supported");
        assert_eq!(rate(NORMAL / 2), "its edit list plays at 0.50 times the speed, which is not supported");
        assert!(refused(&[edit(0, 9); 257]).starts_with("its edit list is too long: 256 parts and "));
        for none in [&[edit(-1, 9)][..], &[edit(900, 9)], &[edit(0, 0)]] {
            assert_eq!(refused(none), "its edit list shows none of its pictures");
        }
    }

    #[test]
    fn the_frame_rate_is_the_mean_of_what_is_shown() {
        let rate = |times: &[i64], last: i64, edits: &[Edit]| {
            let mut samples = samples(times);
            samples.iter_mut().for_each(|sample| sample.duration = last);
            Timeline::of(&samples, edits, (10, 100), (0, false)).expect("honoured").frame_rate
        };
        assert_eq!(rate(&TIMES, 10, &[]), Some(10.0));
        assert_eq!(rate(&[0, 10, 40, 90], 10, &[]), Some(4.0));
        // What a writer did not know, or got wrong.
        for last in [0, -5, 1 << 31] {
            assert_eq!(rate(&TIMES, last, &[]), Some(10.0), "{last}");
        }
        assert_eq!(rate(&[0, 10, 40, 90], 10, &[edit(0, 2)]), Some(10.0));
        assert_eq!((rate(&[7], 50, &[]), rate(&[7], 0, &[]), rate(&[], 1, &[])), (Some(2.0), None, None));
    }
}

//! Folds for cross-validation, and the interval of what it finds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use orthoformer::{Error, Result};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::list::ClipList;

/// Fewest folds: one is held out to judge, one more to choose, and something is left to train on.
pub const FEWEST_FOLDS: usize = 3;
/// Most folds: work grows with their square.
pub const MOST_FOLDS: usize = 20;

/// The fold of each clip. Clips of a group are in the same one, and every fold has about as many clips, and about as many of each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    /// How many there are.
    pub count: usize,
    /// The seed that they were drawn with.
    pub seed: u64,
    /// The fold of each clip of the list.
    pub(super) of_clip: Vec<usize>,
}

impl Folds {
    /// Draws folds: the same for the same list and seed.
    ///
    /// # Errors
    /// [`Error::Argument`] for a class with clips of fewer groups than folds, and for fewer than [`FEWEST_FOLDS`] or more than [`MOST_FOLDS`].
    pub fn draw(list: &ClipList, count: usize, seed: u64) -> Result<Self> {
        let wrong = |expected| Error::Argument { what: "folds", given: count.to_string(), expected };
        if !(FEWEST_FOLDS..=MOST_FOLDS).contains(&count) {
            return Err(wrong(format!("{FEWEST_FOLDS} to {MOST_FOLDS}")));
        }
        let pairs: BTreeSet<(usize, usize)> = list.classes.iter().copied().zip(list.groups.iter().copied()).collect();
        let groups_of = |class: usize| pairs.range((class, 0)..(class + 1, 0)).count();
        let smallest = (0..list.labels.len()).map(|class| (groups_of(class), &list.labels[class])).min();
        if let Some((groups, label)) = smallest.filter(|&(groups, _)| groups < count) {
            let what = if list.group_count() < list.clips.len() { "groups of clips" } else { "clips" };
            return Err(wrong(match groups {
                FEWEST_FOLDS.. => format!("at most {groups}, as class {label:?} has no more {what}"),
                _ => format!("{FEWEST_FOLDS} {what} of each class at least; class {label:?} has {groups}"),
            }));
        }
        Ok(Self { count, seed, of_clip: dealt(list, count, seed) })
    }

    /// Whether these are the folds of so many clips.
    pub(super) fn check(&self, clips: usize) -> Result<()> {
        if clips == self.of_clip.len() {
            return Ok(());
        }
        let expected = format!("{}, of which the folds are", self.of_clip.len());
        Err(Error::Argument { what: "number of examples", given: clips.to_string(), expected })
    }

    /// The clips of a fold.
    pub fn members(&self, fold: usize) -> impl Iterator<Item = usize> {
        let own = self.of_clip.iter().enumerate().filter(move |(_, own)| **own == fold);
        own.map(|(clip, _)| clip)
    }
}

/// Deals groups, the largest first: each to the fold that has least of its classes, and of those to the smallest one.
fn dealt(list: &ClipList, count: usize, seed: u64) -> Vec<usize> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    list.groups.iter().enumerate().for_each(|(clip, &group)| groups.entry(group).or_default().push(clip));
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let class = |clip: usize| list.classes[clip];
    groups.sort_by_key(|clips| (Reverse(clips.len()), class(clips[0])));
    let totals = list.counts();
    let (mut of_clip, mut sizes) = (vec![0; list.clips.len()], vec![0; count]);
    let mut of_class = vec![vec![0_usize; totals.len()]; count];
    for clips in groups {
        // How much the sum of squares of all shares grows.
        let share = |fold: usize, clip: usize| of_class[fold][class(clip)] as f64 / (totals[class(clip)] as f64).powi(2);
        let cost = |fold: usize| clips.iter().map(|&clip| share(fold, clip)).sum::<f64>();
        let least = (0..count).min_by(|&a, &b| cost(a).total_cmp(&cost(b)).then(sizes[a].cmp(&sizes[b]))).unwrap_or(0);
        sizes[least] += clips.len();
        for clip in clips {
            of_class[least][class(clip)] += 1;
            of_clip[clip] = least;
        }
    }
    of_clip
}

/// Wilson's interval of a share, `right` of `count`: where it lies with 95 % confidence, whatever it is. The clips of so many groups are taken for
/// as many independent ones: those of one group may all be right or wrong together.
pub fn interval(right: usize, count: usize, groups: usize) -> [f64; 2] {
    /// Deviations from the mean within which 95 % of a normal distribution lie.
    const DEVIATIONS: f64 = 1.959_963_984_540_054;
    if count == 0 {
        return [0.0, 1.0];
    }
    let (n, z2) = (groups.clamp(1, count) as f64, DEVIATIONS * DEVIATIONS);
    let share = right as f64 / count as f64;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = DEVIATIONS / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(counts: &[usize]) -> ClipList {
        let classes: Vec<usize> = counts.iter().enumerate().flat_map(|(class, &count)| vec![class; count]).collect();
        let clips = (0..classes.len()).map(|clip| format!("{clip}.mp4").into()).collect();
        let groups = (0..classes.len()).collect();
        ClipList { labels: (0..counts.len()).map(|class| format!("class {class}")).collect(), clips, classes, groups }
    }

    #[test]
    fn clips_of_a_group_stay_together() {
        let mut list = list(&[40, 20, 30]);
        // Groups of 2, 4 and 6 clips, some of them of two classes.
        list.groups = (0..90).map(|clip| clip / 2 - (clip / 2) % (1 + clip / 30)).collect();
        for (count, seed) in [(3, 0), (5, 1), (5, 2), (4, 3)] {
            let folds = Folds::draw(&list, count, seed).expect("folds");
            for (clip, group) in list.groups.iter().enumerate() {
                let first = list.groups.iter().position(|other| other == group).expect("itself");
                assert_eq!(folds.of_clip[clip], folds.of_clip[first], "{folds:?}");
            }
            for fold in 0..count {
                for (class, total) in list.counts().into_iter().enumerate() {
                    let own = folds.members(fold).filter(|&clip| list.classes[clip] == class).count();
                    assert!(own.abs_diff(total / count) <= 6, "{own} of {total} in one of {count}: {folds:?}");
                }
            }
        }
        list.groups = (0..90).map(|clip| if clip < 60 { clip } else { 60 + clip % 4 }).collect();
        let error = Folds::draw(&list, 5, 0).expect_err("too few").to_string();
        assert!(error.contains("at most 4, as class \"class 2\" has no more groups of clips"), "{error}");
        list.groups = vec![0; 90];
        let error = Folds::draw(&list, 5, 0).expect_err("too few").to_string();
        assert!(error.contains("3 groups of clips of each class at least; class \"class 0\" has 1"), "{error}");
    }

    #[test]
    fn folds_are_stratified_and_of_a_size() {
        let list = list(&[7, 12, 5]);
        let folds = Folds::draw(&list, 5, 3).expect("folds");
        let members = |fold: usize| (0..24).filter(|&clip| folds.of_clip[clip] == fold).collect::<Vec<_>>();
        for fold in 0..5 {
            assert!((4..=5).contains(&members(fold).len()), "{folds:?}");
            for (class, count) in [7_usize, 12, 5].into_iter().enumerate() {
                let own = members(fold).iter().filter(|&&clip| list.classes[clip] == class).count();
                assert!((count / 5..=count.div_ceil(5)).contains(&own), "{own} of {count}");
            }
        }
    }

    #[test]
    fn folds_are_seeded() {
        let list = list(&[9, 9]);
        let draw = |seed| Folds::draw(&list, 3, seed).expect("folds").of_clip;
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn too_few_clips_are_refused() {
        let error = |counts: &[usize], folds| Folds::draw(&list(counts), folds, 0).expect_err("too few").to_string();
        assert!(error(&[9, 4], 5).contains("at most 4, as class \"class 1\""), "{}", error(&[9, 4], 5));
        assert!(error(&[9, 2], 5).contains("3 clips of each class at least"), "{}", error(&[9, 2], 5));
        assert!(error(&[9, 9], 2).contains("3 to 20"));
    }

    #[test]
    fn intervals_are_those_of_wilson() {
        // As scipy's binomtest(right, count).proportion_ci(method="wilson") has them.
        for (right, count, expected) in [
            (8, 10, [0.490_162_472, 0.943_317_849]),
            (10, 10, [0.722_467_200, 1.0]),
            (0, 20, [0.0, 0.161_125_158]),
            (120, 128, [0.881_512_089, 0.967_993_074]),
        ] {
            let found = interval(right, count, count);
            assert!(
                found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-8),
                "{found:?} {expected:?}"
            );
        }
        assert_eq!(interval(0, 0, 0), [0.0, 1.0]);
        assert_eq!(interval(80, 100, 10), interval(8, 10, 10), "ten recordings tell no more than ten clips");
    }
}

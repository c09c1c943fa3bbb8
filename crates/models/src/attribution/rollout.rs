//! Attention rollout (Abnar and Zuidema, ACL 2020): what a token has of the tokens ahead of the first block, if blocks did nothing but attend.
//!
//! ```text
//! row = e_token,  then from the block that is asked for down to the first:  row = row (A + I) / 2
//! ```
//!
//! `A` is a block's attention, the mean of its heads, `I` what the residual keeps. Rows of `A` add up to one, and so do those of `(A + I) / 2` and of all products.
//! Only the one row is carried from block to block: rows of `A` are computed as they are needed, and no matrix is kept.

use orthoformer::{Error, Result};

use super::{Attribution, Patch, by_frames, finite};
use crate::model::Model;
use crate::networks::{Features, Network};

/// Whose attention is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// The patch's.
    Patch,
    /// The class token's.
    Class,
}

impl Rollout {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Patch, Self::Class];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Class => "class",
        }
    }

    /// Whether a network's attention can be rolled out for it.
    ///
    /// # Errors
    /// Those of [`Network::check_rollout`]; [`Error::Argument`] for the class token of a network that has none.
    pub(crate) fn check(self, network: &dyn Network) -> Result<()> {
        network.check_rollout()?;
        if self == Self::Class && !network.tokens(Features::Final)?.class_token {
            let expected = "patch, as the network has no class token".to_owned();
            return Err(Error::Argument { what: "rollout", given: self.name().to_owned(), expected });
        }
        Ok(())
    }

    /// What the token has of each patch ahead of the first block, rolled out from the patch's block.
    ///
    /// # Errors
    /// Those of [`Network::roll_out`]; [`Error::WrongNumber`] if the network makes values that are not finite.
    pub(crate) fn attribution(self, mut patch: Patch, model: &Model<'_>) -> Result<Attribution> {
        let network = &model.config().network;
        let class_tokens = usize::from(network.tokens(Features::Block(patch.block))?.class_token);
        let token = if self == Self::Class { 0 } else { class_tokens + patch.number() };
        let count = class_tokens + patch.grid[0] * patch.patches();
        let mut row: Vec<f64> = (0..count).map(|other| f64::from(u8::from(other == token))).collect();
        for block in (0..=patch.block).rev() {
            patch.block = block;
            row = network.roll_out(&row, &patch, model)?;
        }
        let row = finite(row.into_iter().map(|weight| weight as f32).collect())?;
        let (class, patches) = row.split_at_checked(class_tokens).unwrap_or((&[], row.as_slice()));
        let left_out = |class: &f32| format!("{:.0} % of the rollout is the class token's, and left out.", 100.0 * class);
        Ok(Attribution { frames: by_frames(patches, patch.patches()), note: class.first().map(left_out) })
    }
}

/// Parts of a row that go through a block side by side. There are as many on every machine, so that sums are the same.
const PARTS: usize = 16;

/// `row (A + I) / 2`, where `attended` is a row of `A`: tokens and their weights, all others of which are zero.
pub(crate) fn carried(row: &[f64], attended: impl Fn(usize) -> Vec<(usize, f32)> + Sync) -> Vec<f64> {
    let of_part = |first: usize, part: &[f64]| {
        let mut sums = vec![0.0; row.len()];
        let mut add = |token: usize, weight: f64| {
            if let Some(sum) = sums.get_mut(token) {
                *sum += weight;
            }
        };
        for (token, &weight) in (first..).zip(part).filter(|(_, weight)| **weight != 0.0) {
            add(token, weight / 2.0);
            attended(token).into_iter().for_each(|(other, share)| add(other, weight / 2.0 * f64::from(share)));
        }
        sums
    };
    let size = row.len().div_ceil(PARTS).max(1);
    std::thread::scope(|scope| {
        let of_part = &of_part;
        let start = |(number, part)| scope.spawn(move || of_part(number * size, part));
        let parts: Vec<_> = row.chunks(size).enumerate().map(start).collect();
        let mut sums = vec![0.0; row.len()];
        for part in parts {
            let part = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sums.iter_mut().zip(part).for_each(|(sum, own)| *sum += own);
        }
        sums
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_row_stays_and_half_is_attention_s() {
        let attention = [[0.25, 0.75, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]];
        let found = carried(&[0.5, 0.0, 0.5], |token| attention[token].into_iter().enumerate().collect());
        assert_eq!(found, [0.25 + 0.0625 + 0.25, 0.1875, 0.25]);
        // More tokens than parts: everyone attends to the one behind.
        let row: Vec<f64> = (0..37).map(f64::from).collect();
        let turned = carried(&row, |token| vec![((token + 1) % 37, 1.0)]);
        let expected: Vec<f64> = (0..37).map(|token| f64::midpoint(row[token], row[(token + 36) % 37])).collect();
        assert_eq!(turned, expected);
        assert!(carried(&[], |_| Vec::new()).is_empty());
    }

    #[test]
    fn what_has_no_weight_is_not_asked_for_and_what_is_no_number_stays() {
        let asked = carried(&[0.0, 1.0], |token| vec![(token, if token == 1 { f32::NAN } else { panic!("not needed") })]);
        assert!(asked[0] == 0.0 && asked[1].is_nan());
    }
}

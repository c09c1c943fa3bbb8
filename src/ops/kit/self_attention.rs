//! Attention of the tokens of a sequence to each other: to all of them, or within groups.

use super::attention::{one_group, one_segment};
use super::packed::{Packed, heads};
use crate::kernel::Attend;
use crate::view::View;

/// Queries, keys, values and results of a sequence, `[batch, heads, tokens, head size]` each.
#[derive(Clone, Copy, Debug)]
pub struct SelfAttention {
    /// Queries.
    pub queries: View,
    /// Keys.
    pub keys: View,
    /// Values.
    pub values: View,
    /// Results, one for each query.
    pub out: View,
    /// Factor on every score.
    pub scale: f32,
}

/// Tokens by frames: `[batch, heads, frames, patches, head size]`.
pub fn by_frame(tokens: View, patches: u64) -> View {
    tokens.split(2, patches)
}

/// Tokens by positions in a frame: `[batch, heads, patches, frames, head size]`.
pub fn by_position(tokens: View, patches: u64) -> View {
    by_frame(tokens, patches).ordered(&[0, 1, 3, 2, 4])
}

impl SelfAttention {
    /// Of packed queries, keys and values, into `out [batch, tokens, channels]`.
    pub fn new(packed: Packed, out: View, scale: f32) -> Self {
        let (queries, keys, values) = (packed.queries(), packed.keys(), packed.values());
        Self { queries, keys, values, out: heads(out, queries.size(1)), scale }
    }

    /// The same for the first `count` queries alone.
    #[must_use]
    pub fn first_queries(self, count: u64) -> Self {
        let first = |tokens: View| tokens.part(2, 0, count);
        Self { queries: first(self.queries), out: first(self.out), ..self }
    }

    /// The same without the first token.
    #[must_use]
    pub fn behind_class_token(self) -> Self {
        let behind = |tokens: View| tokens.from(2, 1);
        let (queries, keys, values) = (behind(self.queries), behind(self.keys), behind(self.values));
        Self { queries, keys, values, out: behind(self.out), ..self }
    }

    /// Attention of every query to every key.
    pub fn joint(&self) -> Attend {
        self.within(one_group, false)
    }

    /// Attention within groups: `groups` makes `[batch, heads, groups, rows, head size]` of tokens. A class token ahead of the others, where there
    /// is one, is no query, but an extra key of every group.
    pub fn within(&self, groups: impl Fn(View) -> View, class_token: bool) -> Attend {
        let own = if class_token { self.behind_class_token() } else { *self };
        let keys = |own: View, all: View| {
            let keys = one_segment(groups(own));
            if class_token { keys.with_extra(&all) } else { keys }
        };
        Attend {
            queries: groups(own.queries),
            keys: keys(own.keys, self.keys),
            values: keys(own.values, self.values),
            tokens: groups(own.out).with_axis(4, 1),
            scale: self.scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::BufferId;

    /// Two batch items of a class token and three frames of five patches, four heads of eight elements.
    fn sequence() -> SelfAttention {
        let packed = Packed::new(View::of(BufferId(0), &[2, 16, 96]), 4);
        SelfAttention::new(packed, View::of(BufferId(1), &[2, 16, 32]), 0.5)
    }

    #[test]
    fn a_class_token_is_an_extra_key_of_every_frame() {
        let request = sequence().within(|tokens| by_frame(tokens, 5), true);
        assert_eq!(request.queries.shape(), [2, 4, 3, 5, 8]);
        assert_eq!(request.keys.shape(), [2, 4, 3, 1, 5, 8]);
        assert_eq!(request.tokens.shape(), [2, 4, 3, 5, 1, 8]);
        // The second frame's first patch is token 6.
        assert_eq!(request.queries.at(&[0, 0, 1]), 6 * 96);
        assert_eq!(request.values.at(&[0, 0, 1]), 6 * 96 + 64);
        assert!(request.keys.has_extra() && request.values.has_extra() && !request.queries.has_extra());
        assert_eq!((request.keys.first(), request.values.first()), (32, 64));
    }

    #[test]
    fn patches_along_time_leave_the_class_token_out() {
        let request = sequence().behind_class_token().within(|tokens| by_position(tokens, 5), false);
        assert_eq!(request.queries.shape(), [2, 4, 5, 3, 8]);
        // The third patch of the second frame, second head, is token 8.
        assert_eq!(request.queries.at(&[0, 1, 2, 1]), 8 * 96 + 8);
        assert!(!request.keys.has_extra());
    }

    #[test]
    fn a_few_queries_see_all_keys() {
        let request = sequence().first_queries(1).joint();
        assert_eq!(request.queries.shape(), [2, 4, 1, 1, 8]);
        assert_eq!(request.keys.shape(), [2, 4, 1, 1, 16, 8]);
        assert_eq!(request.tokens.shape(), [2, 4, 1, 1, 1, 8]);
    }
}

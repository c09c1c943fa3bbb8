//! Queries, keys and values next to each other, as one projection makes them.

use crate::view::View;

/// Packed queries, keys and values `[batch, tokens, 3 C]` of several heads.
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    all: View,
    heads: u64,
}

impl Packed {
    /// Of a view `[batch, tokens, 3 C]`.
    pub fn new(all: View, heads: u64) -> Self {
        Self { all, heads }
    }

    /// All of it, `[batch, tokens, 3 C]`.
    pub fn all(&self) -> View {
        self.all
    }

    fn part(&self, number: u64) -> View {
        let channels = self.all.size(2) / 3;
        let own = self.all.part(2, number * channels, channels);
        heads(own, self.heads)
    }

    /// `[batch, heads, tokens, head size]`.
    pub fn queries(&self) -> View {
        self.part(0)
    }

    /// `[batch, heads, tokens, head size]`.
    pub fn keys(&self) -> View {
        self.part(1)
    }

    /// `[batch, heads, tokens, head size]`.
    pub fn values(&self) -> View {
        self.part(2)
    }
}

/// Tokens `[batch, tokens, channels]` by their heads: `[batch, heads, tokens, head size]`.
pub fn heads(tokens: View, heads: u64) -> View {
    tokens.split(2, tokens.size(2) / heads.max(1)).ordered(&[0, 2, 1, 3])
}

//! The planning kit of operations and networks: budgets and slices, embeddings, projections, norms and MLPs over tokens, packed queries, keys
//! and values, attention of any length.
//!
//! Tokens are views `[batch, rows, columns]`. Operations are cut into slices of batch items, or of rows if one item is too large, so that no binding
//! exceeds its limit and scratch memory does not grow with the batch.

mod alternating;
mod attention;
mod budget;
mod dense;
mod embedding;
mod grid;
mod mlp;
mod norm;
mod packed;
mod self_attention;

pub use alternating::Alternating;
pub use attention::{Attention, one_group, push_attention, value_parts};
pub use budget::{Budget, Clips, parts};
pub use dense::{Product, Projection, projection};
pub use embedding::{Embedding, patch_weight};
pub use grid::{as_clip, on_grid};
pub use mlp::{Mlp, hidden_layer, mlp};
pub use norm::{Norm, mean, norm};
pub use packed::{Packed, heads};
pub use self_attention::{SelfAttention, by_frame, by_position};

pub use crate::shape::scale_of;

//! Attention of any length and head size, with the kernel that it is made of.

use crate::error::Result;
use crate::kernel::Attend;
use crate::plan::PlanBuilder;
use crate::view::View;

/// Tokens `[batch, heads, tokens, D]` as one group: `[batch, heads, 1, tokens, D]`.
pub fn one_group(tokens: View) -> View {
    tokens.with_axis(2, 1)
}

/// Groups of tokens `[batch, heads, groups, tokens, D]` as keys of one segment: `[batch, heads, groups, 1, tokens, D]`.
pub fn one_segment(tokens: View) -> View {
    tokens.with_axis(3, 1)
}

/// Appends attention.
///
/// # Errors
/// Those of [`PlanBuilder::launch`].
pub fn push_attention(builder: &mut PlanBuilder, label: &'static str, request: Attend) -> Result<()> {
    builder.launch(label, request)
}

/// Factor on scores of heads of this size: `1 / sqrt D`.
pub fn scale_of(head_size: u64) -> f32 {
    (1.0 / (head_size as f64).sqrt()) as f32
}

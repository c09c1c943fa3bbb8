//! Means of consecutive tokens in patch-major order: the landmarks of Nyström attention.

use super::declaration::{count, kernel, looped};
use crate::view::indices;

kernel! {
    /// Means of consecutive tokens (`segment_means`): `means[b,h,g,r] = mean of the tokens of segment r`.
    ///
    /// Token `t = s * frames + f` of a group is patch `s` of frame `f`. Segments have `frames * patches / segments` tokens; where that leaves a
    /// rest, so many of the last segments have one more.
    SegmentMeans, SegmentMeansParams, "segment_means", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Groups: each has tokens of its own.
        groups,
        /// Frames of a group.
        frames,
        /// Patches of a frame.
        patches,
        /// Segments of a group.
        segments,
        /// Elements of a token.
        size,
    }
    checks { "tokens of a segment": p.short_length() => u32::MAX, }
    read x {
        /// Tokens.
        x: [batch, heads, groups, frames, patches; size],
    }
    write means {
        /// A mean a segment.
        means: [batch, heads, groups, segments; size],
    }
    workgroup: 64,
    workgroups: count(&[p.batch, p.heads, p.groups, p.segments, p.size]).div_ceil(64),
    multiply_adds: count(&[p.batch, p.heads, p.groups, p.size]).saturating_mul(p.tokens()),
    iterations: looped(p.short_length() + 1, 0),
    accesses_in_range: false,
    reference: reference,
}

impl SegmentMeansParams {
    /// Tokens of a group.
    fn tokens(&self) -> u64 {
        count(&[self.frames, self.patches])
    }

    /// Tokens of the shorter segments.
    fn short_length(&self) -> u64 {
        self.tokens() / u64::from(self.segments.max(1))
    }
}

/// Input: x; output: means.
fn reference(p: &SegmentMeansParams, inputs: &[&[f32]], means: &mut [f32]) {
    let &[x] = inputs else { return };
    let short_length = p.short_length() as u32;
    let short_segments = p.segments - (p.tokens() % u64::from(p.segments)) as u32;
    for [batch, head, group] in indices([p.batch, p.heads, p.groups]) {
        let mut first = 0;
        for segment in 0..p.segments {
            let length = short_length + u32::from(segment >= short_segments);
            let tokens = first..first + length;
            let starts: Vec<usize> =
                tokens.map(|token| p.x.at(&[batch, head, group, token % p.frames, token / p.frames])).collect();
            for (column, mean) in p.means.row_mut(means, &[batch, head, group, segment], p.size).iter_mut().enumerate() {
                let sum: f64 = starts.iter().map(|start| f64::from(x[start + column])).sum();
                *mean = (sum / f64::from(length)) as f32;
            }
            first += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent, View};

    #[test]
    fn whole_buffers_are_seen_as_they_lie() {
        let x = View::of(BufferId(0), &[2, 3, 1, 4, 5, 8]);
        let means = View::of(BufferId(1), &[2, 3, 1, 7, 8]);
        let (params, _) = SegmentMeans { x, means }.place().expect("they fit");
        let sizes = SegmentMeansParams { batch: 2, heads: 3, groups: 1, frames: 4, patches: 5, segments: 7, size: 8, ..params };
        let x = BoundView::new(0, &[480, 160, 0, 40, 8]);
        let means = BoundView::new(0, &[168, 56, 0, 8]);
        assert_eq!(params, SegmentMeansParams { x, means, ..sizes });
        assert_eq!(params.accesses(), [Extent::dense(0, 960), Extent::dense(0, 336)]);
        assert_eq!((params.tokens(), params.short_length()), (20, 2));
    }
}

//! Params structs of the kernels, shared by host, shader and reference.
//!
//! Offsets and strides are in elements and relative to the start of their binding. A shader declares the same struct by hand; a
//! test compares name, type and offset of every field.

/// A field of a params struct, for reflection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in Rust and WGSL.
    pub name: &'static str,
    /// `u32` or `f32`.
    pub kind: &'static str,
    /// Byte offset in the struct.
    pub offset: usize,
}

macro_rules! params {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl $name {
            /// The fields in order.
            pub const FIELDS: &'static [Field] = &[$(Field {
                name: stringify!($field),
                kind: stringify!($kind),
                offset: std::mem::offset_of!($name, $field),
            },)*];
        }
    };
}

params! {
    /// Segmented attention (`attend`): `tokens[b,h,g,r,f] = sum_j softmax_j(scale * q[b,h,g,r] . k[b,h,g,f,j]) v[b,h,g,f,j]`.
    AttendParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Groups: each has queries and keys of its own.
        groups: u32,
        /// Query rows of a group.
        rows: u32,
        /// Key segments of a group: each has a softmax and an output of its own.
        segments: u32,
        /// Keys of a segment, without the extra one.
        keys: u32,
        /// 1 if every segment has the extra key ahead of its own (the class token in divided attention), else 0.
        extra_keys: u32,
        /// Numbers in a query and a key.
        head_size: u32,
        /// Numbers in a value.
        value_size: u32,
        /// Factor on every score.
        scale: f32,
        /// First query.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a head's queries to the next's.
        q_head_stride: u32,
        /// From a group's queries to the next's.
        q_group_stride: u32,
        /// From a query to the next.
        q_row_stride: u32,
        /// First key.
        k_offset: u32,
        /// The extra key of batch item 0, head 0.
        k_extra_offset: u32,
        /// From a batch item's keys to the next's.
        k_batch_stride: u32,
        /// From a head's keys to the next's.
        k_head_stride: u32,
        /// From a group's keys to the next's.
        k_group_stride: u32,
        /// From a segment's keys to the next's.
        k_segment_stride: u32,
        /// From a key to the next.
        k_row_stride: u32,
        /// First value.
        v_offset: u32,
        /// The extra value of batch item 0, head 0.
        v_extra_offset: u32,
        /// From a batch item's values to the next's.
        v_batch_stride: u32,
        /// From a head's values to the next's.
        v_head_stride: u32,
        /// From a group's values to the next's.
        v_group_stride: u32,
        /// From a segment's values to the next's.
        v_segment_stride: u32,
        /// From a value to the next.
        v_row_stride: u32,
        /// First output.
        out_offset: u32,
        /// From a batch item's outputs to the next's.
        out_batch_stride: u32,
        /// From a head's outputs to the next's.
        out_head_stride: u32,
        /// From a group's outputs to the next's.
        out_group_stride: u32,
        /// From a query row's outputs to the next's.
        out_row_stride: u32,
        /// From a segment's output to the next's.
        out_segment_stride: u32,
    }
}

params! {
    /// Attention weights of chosen queries (`attend_rows`): `weights[b,h,i,f,j] = softmax_j(scale * q[b,h,chosen[i]] . k[b,h,f,j])`.
    AttendRowsParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Query rows there are; `chosen` holds numbers below this.
        rows: u32,
        /// Chosen query rows.
        chosen_count: u32,
        /// Key segments.
        segments: u32,
        /// Keys of a segment.
        keys: u32,
        /// Numbers in a query and a key.
        head_size: u32,
        /// Factor on every score.
        scale: f32,
        /// First query.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a head's queries to the next's.
        q_head_stride: u32,
        /// From a query to the next.
        q_row_stride: u32,
        /// First key.
        k_offset: u32,
        /// From a batch item's keys to the next's.
        k_batch_stride: u32,
        /// From a head's keys to the next's.
        k_head_stride: u32,
        /// From a segment's keys to the next's.
        k_segment_stride: u32,
        /// From a key to the next.
        k_row_stride: u32,
        /// First weight; weights are dense `[batch, heads, chosen, segments, keys]` from there.
        out_offset: u32,
    }
}

params! {
    /// Matrix product (`linear`): `y[b,g,r,o] = sum_i x[b,g,r,i] w[g,o,i] + bias[g,o]`.
    LinearParams {
        /// Batch items: `x` and `y` differ, `w` and `bias` are shared.
        batch: u32,
        /// Groups: each has its own `x`, `w`, `bias` and `y`.
        groups: u32,
        /// Rows of `x` and `y` in a group.
        rows: u32,
        /// Numbers in a row of `x`.
        inputs: u32,
        /// Numbers in a row of `y`.
        outputs: u32,
        /// 1 if `bias` is added, 0 if what is bound there is not read.
        has_bias: u32,
        /// First element of `x`.
        x_offset: u32,
        /// From a batch item of `x` to the next.
        x_batch_stride: u32,
        /// From a group of `x` to the next.
        x_group_stride: u32,
        /// From a row of `x` to the next.
        x_row_stride: u32,
        /// First element of `w`.
        w_offset: u32,
        /// From a group of `w` to the next.
        w_group_stride: u32,
        /// From an output's weights to the next output's.
        w_output_stride: u32,
        /// From an input's weight to the next input's.
        w_input_stride: u32,
        /// First element of `bias`.
        bias_offset: u32,
        /// From a group of `bias` to the next.
        bias_group_stride: u32,
        /// First element of `y`.
        y_offset: u32,
        /// From a batch item of `y` to the next.
        y_batch_stride: u32,
        /// From a group of `y` to the next.
        y_group_stride: u32,
        /// From a row of `y` to the next.
        y_row_stride: u32,
    }
}

params! {
    /// Temporal weights (`temporal_weights`): `weights[b,h,r,f] = softmax_f(scale * queries[b,r,h] . tokens[b,r,f])`.
    TemporalWeightsParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Query rows.
        rows: u32,
        /// Frames.
        frames: u32,
        /// Numbers in a query and in the part of a token that is compared with it.
        width: u32,
        /// Factor on every score.
        scale: f32,
        /// First query.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a row's queries to the next's.
        q_row_stride: u32,
        /// From a head's query to the next's.
        q_head_stride: u32,
        /// First trajectory token.
        t_offset: u32,
        /// From a batch item's tokens to the next's.
        t_batch_stride: u32,
        /// From a row's tokens to the next's.
        t_row_stride: u32,
        /// From a frame's token to the next's.
        t_frame_stride: u32,
        /// First weight; the weights of the frames follow each other.
        out_offset: u32,
        /// From a batch item's weights to the next's.
        out_batch_stride: u32,
        /// From a head's weights to the next's.
        out_head_stride: u32,
        /// From a row's weights to the next's.
        out_row_stride: u32,
    }
}

params! {
    /// Pooled tokens (`temporal_pool`): `pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,h*t_head_stride + c]`.
    TemporalPoolParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Query rows.
        rows: u32,
        /// Frames.
        frames: u32,
        /// Numbers pooled for one head.
        width: u32,
        /// First weight; the weights of the frames follow each other.
        a_offset: u32,
        /// From a batch item's weights to the next's.
        a_batch_stride: u32,
        /// From a head's weights to the next's.
        a_head_stride: u32,
        /// From a row's weights to the next's.
        a_row_stride: u32,
        /// First trajectory token.
        t_offset: u32,
        /// From a batch item's tokens to the next's.
        t_batch_stride: u32,
        /// From a row's tokens to the next's.
        t_row_stride: u32,
        /// From a frame's token to the next's.
        t_frame_stride: u32,
        /// From a head's part of a token to the next's; 0 if every head pools the whole token.
        t_head_stride: u32,
        /// First output.
        out_offset: u32,
        /// From a batch item's outputs to the next's.
        out_batch_stride: u32,
        /// From a row's outputs to the next's.
        out_row_stride: u32,
        /// From a head's output to the next's.
        out_head_stride: u32,
    }
}

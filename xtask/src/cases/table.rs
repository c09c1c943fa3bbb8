//! The table of cases. A new case is one line.
//!
//! A line is the file's name, its metadata but for `op`, and the sizes of its inputs. [`super::draw`] says which inputs
//! follow from these.

/// A case of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name of the file, without its extension.
    pub name: &'static str,
    /// The operation: `op` of the metadata.
    pub operation: &'static str,
    /// All other metadata, as `KEY=VALUE` with spaces between.
    pub metadata: &'static str,
    /// Sizes of the inputs.
    pub inputs: Inputs,
}

/// Sizes of a case's inputs.
#[derive(Clone, Copy, Debug)]
pub enum Inputs {
    /// `q`, `k` and `v`, `[B,H,N,D]`.
    Attention {
        /// Their shape.
        shape: [usize; 4],
        /// Standard deviation of queries and keys.
        deviation: f64,
        /// Rows of the input `projection`. 0: no such input.
        features: usize,
    },
    /// `x [B,T,C]` and a layer's weights.
    Layer {
        /// The shape of `x`.
        shape: [usize; 3],
        /// Whether all projections have a bias, or the last one alone.
        biases: bool,
    },
    /// Candidates `x [groups,M,D]`.
    Candidates {
        /// Their shape.
        shape: [usize; 3],
        /// Whether some rows repeat, oppose or are zero.
        degenerate: bool,
    },
    /// `v [B,H,F,Y,X,D]`, with logits and displacements.
    Deformable([usize; 6]),
}

impl Entry {
    const fn features(mut self, rows: usize) -> Self {
        if let Inputs::Attention { features, .. } = &mut self.inputs {
            *features = rows;
        }
        self
    }

    const fn degenerate(mut self) -> Self {
        if let Inputs::Candidates { degenerate, .. } = &mut self.inputs {
            *degenerate = true;
        }
        self
    }
}

const fn trajectories(name: &'static str, metadata: &'static str, shape: [usize; 4], deviation: f64) -> Entry {
    Entry { name, operation: "trajectories", metadata, inputs: Inputs::Attention { shape, deviation, features: 0 } }
}

const fn attention(name: &'static str, metadata: &'static str, shape: [usize; 4], deviation: f64) -> Entry {
    Entry { name, operation: "attention", metadata, inputs: Inputs::Attention { shape, deviation, features: 0 } }
}

const fn layer(name: &'static str, metadata: &'static str, shape: [usize; 3], biases: bool) -> Entry {
    Entry { name, operation: "layer", metadata, inputs: Inputs::Layer { shape, biases } }
}

const fn prototypes(name: &'static str, metadata: &'static str, shape: [usize; 3]) -> Entry {
    Entry { name, operation: "prototypes", metadata, inputs: Inputs::Candidates { shape, degenerate: false } }
}

const fn deformable(name: &'static str, metadata: &'static str, shape: [usize; 6]) -> Entry {
    Entry { name, operation: "deformable", metadata, inputs: Inputs::Deformable(shape) }
}

/// The cases of `crates/cli/shipped/cases`.
#[rustfmt::skip]
pub const CASES: &[Entry] = &[
    deformable("deformable_0", "sub_clip=2 samples=4", [1, 1, 2, 3, 4, 8]),
    deformable("deformable_1", "sub_clip=2 samples=8", [2, 2, 4, 7, 7, 16]),
    layer("layer_divided_space_0", "attention=divided_space frames=2 heads=2", [1, 11, 16], true),
    layer("layer_divided_space_1", "attention=divided_space frames=4 heads=3", [2, 37, 48], true),
    layer("layer_divided_space_2", "attention=divided_space frames=3 heads=2", [1, 148, 64], false),
    layer("layer_divided_space_3", "attention=divided_space frames=4 heads=2", [1, 197, 128], true),
    layer("layer_divided_time_0", "attention=divided_time frames=2 heads=2", [1, 11, 16], true),
    layer("layer_divided_time_1", "attention=divided_time frames=4 heads=3", [2, 37, 48], true),
    layer("layer_divided_time_2", "attention=divided_time frames=3 heads=2", [1, 148, 64], false),
    layer("layer_divided_time_3", "attention=divided_time frames=4 heads=2", [1, 197, 128], true),
    layer("layer_joint_0", "attention=joint frames=2 heads=2", [1, 11, 16], true),
    layer("layer_joint_1", "attention=joint frames=4 heads=3", [2, 37, 48], true),
    layer("layer_joint_2", "attention=joint frames=3 heads=2", [1, 148, 64], false),
    layer("layer_joint_3", "attention=joint frames=4 heads=2", [1, 197, 128], true),
    layer("layer_trajectory_0_identity", "attention=trajectory temporal_value=identity frames=2 heads=2", [1, 11, 16], true),
    layer("layer_trajectory_0_projected", "attention=trajectory temporal_value=projected frames=2 heads=2", [1, 11, 16], true),
    layer("layer_trajectory_1_identity", "attention=trajectory temporal_value=identity frames=4 heads=3", [2, 37, 48], true),
    layer("layer_trajectory_1_projected", "attention=trajectory temporal_value=projected frames=4 heads=3", [2, 37, 48], true),
    layer("layer_trajectory_2_identity", "attention=trajectory temporal_value=identity frames=3 heads=2", [1, 148, 64], false),
    layer("layer_trajectory_2_projected", "attention=trajectory temporal_value=projected frames=3 heads=2", [1, 148, 64], false),
    attention("orthoformer_0", "approximation=orthoformer prototypes=6 candidates=queries_and_keys criterion=sum", [1, 2, 36, 16], 2.0),
    attention("orthoformer_1", "approximation=orthoformer prototypes=16 candidates=queries_and_keys criterion=sum", [2, 1, 147, 32], 2.0),
    attention("orthoformer_2", "approximation=orthoformer prototypes=64 candidates=queries_and_keys criterion=sum", [1, 1, 196, 64], 2.0),
    prototypes("prototypes_0_sum", "count=4 criterion=sum normalise=true", [1, 10, 8]),
    prototypes("prototypes_1_max", "count=4 criterion=max normalise=true", [1, 10, 8]),
    prototypes("prototypes_2_sum", "count=12 criterion=sum normalise=true", [3, 100, 16]),
    prototypes("prototypes_3_max", "count=12 criterion=max normalise=true", [3, 100, 16]),
    prototypes("prototypes_4_sum", "count=64 criterion=sum normalise=true", [2, 392, 64]),
    prototypes("prototypes_5_max", "count=64 criterion=max normalise=true", [2, 392, 64]),
    prototypes("prototypes_6_max", "count=33 criterion=max normalise=true", [1, 33, 32]),
    prototypes("prototypes_degenerate", "count=12 criterion=sum normalise=true", [1, 12, 8]).degenerate(),
    trajectories("trajectories_0", "approximation=exact frames=1", [1, 1, 1, 8], 1.0),
    trajectories("trajectories_1", "approximation=exact frames=2", [1, 1, 10, 8], 1.0),
    trajectories("trajectories_2", "approximation=exact frames=4", [2, 3, 36, 16], 1.0),
    trajectories("trajectories_3", "approximation=exact frames=3", [1, 2, 147, 32], 4.0),
    trajectories("trajectories_4", "approximation=exact frames=2", [1, 1, 392, 64], 1.0),
    trajectories("trajectories_5", "approximation=exact frames=8", [1, 1, 80, 64], 30.0),
    trajectories("trajectories_6", "approximation=exact frames=2", [1, 1, 14, 80], 1.0),
    trajectories("trajectories_nystrom_0", "approximation=nystrom frames=4 prototypes=6 iterations=6", [1, 2, 36, 16], 2.0),
    trajectories("trajectories_nystrom_1", "approximation=nystrom frames=3 prototypes=16 iterations=6", [2, 1, 147, 32], 2.0),
    trajectories("trajectories_nystrom_2", "approximation=nystrom frames=4 prototypes=64 iterations=6", [1, 1, 196, 64], 2.0),
    trajectories("trajectories_orthoformer_0_max", "approximation=orthoformer frames=4 prototypes=6 candidates=queries criterion=max", [1, 2, 36, 16], 2.0),
    trajectories("trajectories_orthoformer_0_sum", "approximation=orthoformer frames=4 prototypes=6 candidates=queries criterion=sum", [1, 2, 36, 16], 2.0),
    trajectories("trajectories_orthoformer_1_max", "approximation=orthoformer frames=3 prototypes=16 candidates=queries criterion=max", [2, 1, 147, 32], 2.0),
    trajectories("trajectories_orthoformer_1_sum", "approximation=orthoformer frames=3 prototypes=16 candidates=queries criterion=sum", [2, 1, 147, 32], 2.0),
    trajectories("trajectories_orthoformer_2_max", "approximation=orthoformer frames=4 prototypes=64 candidates=queries criterion=max", [1, 1, 196, 64], 2.0),
    trajectories("trajectories_orthoformer_2_sum", "approximation=orthoformer frames=4 prototypes=64 candidates=queries criterion=sum", [1, 1, 196, 64], 2.0),
    trajectories("trajectories_performer_0", "approximation=performer frames=4", [1, 2, 36, 16], 1.0).features(12),
    trajectories("trajectories_performer_1", "approximation=performer frames=3", [2, 1, 147, 32], 1.0).features(32),
    trajectories("trajectories_performer_2", "approximation=performer frames=4", [1, 1, 196, 64], 1.0).features(128),
];

/// Cases too large for `crates/cli/shipped/cases`, which ship inside the program.
#[rustfmt::skip]
pub const LARGE: &[Entry] = &[
    layer("layer_trajectory_3_identity", "attention=trajectory temporal_value=identity frames=4 heads=2", [1, 197, 128], true),
    layer("layer_trajectory_3_projected", "attention=trajectory temporal_value=projected frames=4 heads=2", [1, 197, 128], true),
    trajectories("trajectories_7", "approximation=exact frames=1", [1, 1, 300, 128], 2.0),
];

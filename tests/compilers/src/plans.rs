//! What an engine's choices are asked for: attentions at the head sizes of published networks, and these networks.

use orthoformer::kernel::{Attend, AttendWeights};
use orthoformer::ops::approximation::{
    Approximation, Candidates, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::{Plan, PlanLimits, Result, Shape};

use crate::networks;

/// Head sizes of published networks. Values have up to 128 elements, so that the largest has values of half its size.
const HEAD_SIZES: [usize; 4] = [32, 64, 80, 128];

/// All plans, with their names.
///
/// # Errors
/// Those of planning.
pub fn all() -> Result<Vec<(String, Plan)>> {
    let mut plans = Vec::new();
    for size in HEAD_SIZES {
        for (name, attention, approximation) in layers() {
            plans.push((format!("{name} {size}"), layer(size, attention, approximation)?));
        }
    }
    plans.push(("attention 256".to_owned(), wide()?));
    plans.extend(networks::all()?);
    Ok(plans)
}

fn layers() -> Vec<(&'static str, LayerAttention, Approximation)> {
    let trajectory = LayerAttention::Trajectory(TemporalValue::Projected);
    let prototypes = |selection| Prototypes { count: 128, candidates: Candidates::Queries, selection, per_frame: false };
    let orthoformer = Approximation::Orthoformer(prototypes(Selection::Greedy(Greedy::default())));
    let means = Approximation::Orthoformer(prototypes(Selection::KMeans { iterations: 2, seed: 0, spherical: false }));
    let performer = Performer { features: 256, projection: FeatureProjection::Drawn { seed: 0 } };
    vec![
        ("trajectory", trajectory, Approximation::Exact),
        ("orthoformer", trajectory, orthoformer),
        ("clusters", trajectory, means),
        ("nystrom", trajectory, Approximation::Nystrom(Nystrom { landmarks: 128, iterations: 6 })),
        ("performer", trajectory, Approximation::Performer(performer)),
        ("joint", LayerAttention::Joint, Approximation::Exact),
        ("divided space", LayerAttention::DividedSpace, Approximation::Exact),
        ("divided time", LayerAttention::DividedTime, Approximation::Exact),
    ]
}

/// A layer of eight frames of 196 patches, in twelve heads.
fn layer(head_size: usize, attention: LayerAttention, approximation: Approximation) -> Result<Plan> {
    let biases = Biases { qkv: true, proj_q: true, proj_kv: true, proj: true };
    let shape = Shape::new(1, 12, 8, 196, head_size)?;
    let outputs = LayerOutputs::default();
    layer::plan(&LayerSpec { shape, attention, approximation, class_token: true, biases, outputs }, PlanLimits::default())
}

/// Attention and its weights with heads of 256 elements, the most there are.
fn wide() -> Result<Plan> {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let queries = builder.array("queries", &[1, 4, 1, 1568, 256], Role::Input)?;
    let keys = builder.array("keys", &[1, 4, 1, 1, 1568, 256], Role::Input)?;
    let values = builder.array("values", &[1, 4, 1, 1, 1568, 128], Role::Input)?;
    let tokens = builder.array("tokens", &[1, 4, 1, 1568, 1, 128], Role::Output)?;
    builder.launch("attention", Attend { queries, keys, values, tokens, scale: 0.0625 })?;
    let keys = builder.array("landmarks", &[1, 4, 1, 128, 256], Role::Input)?;
    let weights = builder.array("weights", &[1, 4, 1, 1568, 128], Role::Output)?;
    builder.launch("weights", AttendWeights { queries, keys, weights, scale: 0.0625 })?;
    Ok(builder.build())
}

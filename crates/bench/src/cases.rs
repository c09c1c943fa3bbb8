//! What is measured: operations at shapes, exact and approximated.

use orthoformer::compare::{Tolerance, compare, half_disagreement, half_share};
use orthoformer::kernel::Linear;
use orthoformer::ops::approximation::{
    Approximation, Candidates, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};
use orthoformer::ops::{Biases, LayerAttention, LayerOutputs, LayerSpec, Operation, PrototypesSpec, TemporalValue};
use orthoformer::plan::{Element, Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::variant::Variant;
use orthoformer::{Error, Result, Shape, Tensor, Tensors, draw, picks};
use serde::{Deserialize, Serialize};

use super::shapes::BenchShape;

/// Prototypes, landmarks and features of the approximations that are measured if no others are asked for, as far as there are tokens.
const PROTOTYPES: u32 = 128;
const LANDMARKS: u32 = 128;
const FEATURES: u32 = 256;
/// Iterations of the pseudo-inverse, as published.
const ITERATIONS: u32 = 6;
/// Most of either in a reduced case.
const FEW: u32 = 24;

/// The operations that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchOperation {
    /// Trajectory tokens of given queries, keys and values.
    Trajectories,
    /// Joint attention over all tokens of a sequence.
    Attention,
    /// Greedy selection of prototypes among the queries of each head.
    Prototypes,
    /// A whole layer of trajectory attention with its class token.
    Layer,
    /// The layer's largest matrix product, `[1 + N, C]` by `[3C, C]`.
    Linear,
}

impl BenchOperation {
    /// All operations.
    pub const ALL: [Self; 5] = [Self::Trajectories, Self::Attention, Self::Prototypes, Self::Layer, Self::Linear];

    /// The operation's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trajectories => "trajectories",
            Self::Attention => "attention",
            Self::Prototypes => "prototypes",
            Self::Layer => "layer",
            Self::Linear => "linear",
        }
    }

    /// Exact attention and the approximations with sensible sizes, as far as the operation has them.
    pub fn approximations(self, shape: BenchShape) -> Vec<Approximation> {
        let count = |count: u32| count.min(shape.frames.saturating_mul(shape.patches));
        let orthoformer = Approximation::Orthoformer(Prototypes {
            count: count(PROTOTYPES),
            candidates: Candidates::Queries,
            selection: Selection::Greedy(Greedy::default()),
            per_frame: false,
        });
        match self {
            Self::Linear => vec![Approximation::Exact],
            Self::Prototypes => vec![orthoformer],
            Self::Trajectories | Self::Attention | Self::Layer => vec![
                Approximation::Exact,
                orthoformer,
                Approximation::Nystrom(Nystrom { landmarks: count(LANDMARKS), iterations: ITERATIONS }),
                Approximation::Performer(Performer { features: FEATURES, projection: FeatureProjection::Drawn { seed: 0 } }),
            ],
        }
    }
}

/// What came of checking results.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Largest error, as a share of what it may be; right is at most one.
    pub error: f64,
    /// Why they are wrong, if they are.
    pub why: Option<String>,
}

impl Checked {
    /// Nothing is off.
    pub(super) const RIGHT: Self = Self { error: 0.0, why: None };

    /// Results that are off by so much, and why.
    pub(super) fn wrong(error: f64, why: String) -> Self {
        Self { error, why: Some(why) }
    }

    /// The worse of both errors, and the first reason.
    pub(super) fn and(self, other: Self) -> Self {
        Self { error: self.error.max(other.error), why: self.why.or(other.why) }
    }
}

/// One thing to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What is computed.
    pub operation: BenchOperation,
    /// At which sizes.
    pub shape: BenchShape,
    /// For how many sequences.
    pub batch: u32,
    /// How attention is computed.
    pub approximation: Approximation,
    /// What numbers are stored as, where that is free.
    pub element: Element,
}

impl Case {
    /// An exact layer.
    pub fn layer(shape: BenchShape, batch: u32) -> Self {
        Self { operation: BenchOperation::Layer, shape, batch, approximation: Approximation::Exact, element: Element::F32 }
    }

    /// The operation; `None` for what is but a part of one.
    ///
    /// # Errors
    /// Those of [`BenchShape::with_batch`].
    pub fn operation(&self) -> Result<Option<Operation>> {
        let shape = self.shape.with_batch(self.batch)?;
        let approximation = self.approximation.clone();
        let greedy = matches!(&approximation, Approximation::Orthoformer(Prototypes { selection: Selection::Greedy(_), .. }));
        // The picks are handed out to be checked; they are few.
        let outputs = LayerOutputs { indices: greedy, ..LayerOutputs::default() };
        let sizes = [shape.batch(), shape.heads(), shape.tokens(), shape.head_size()].map(|size| size as usize);
        Ok(Some(match (self.operation, approximation) {
            (BenchOperation::Linear, _) => return Ok(None),
            (BenchOperation::Prototypes, Approximation::Orthoformer(prototypes)) => {
                Operation::Prototypes(PrototypesSpec { groups: sizes[0] * sizes[1], rows: sizes[2], size: sizes[3], prototypes })
            }
            (BenchOperation::Prototypes, other) => {
                let (given, expected) = (other.name().to_owned(), "orthoformer: nothing else chooses prototypes".to_owned());
                return Err(Error::Argument { what: "approximation of prototypes", given, expected });
            }
            (BenchOperation::Trajectories, approximation) => Operation::Trajectories(shape, approximation),
            (BenchOperation::Attention, approximation) => {
                Operation::Attention(Shape::new(sizes[0], sizes[1], 1, sizes[2], sizes[3])?, approximation)
            }
            (BenchOperation::Layer, approximation) => Operation::Layer(LayerSpec {
                shape,
                attention: LayerAttention::Trajectory(TemporalValue::Projected),
                approximation,
                class_token: true,
                biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
                outputs,
            }),
        }))
    }

    /// The plan to measure.
    ///
    /// # Errors
    /// Those of the operation's plan.
    pub fn plan(&self) -> Result<Plan> {
        self.plan_for(PlanLimits::default())
    }

    /// The same within limits.
    ///
    /// # Errors
    /// Those of the operation's plan.
    pub fn plan_for(&self, limits: PlanLimits) -> Result<Plan> {
        let plan = match self.operation()? {
            Some(operation) => operation.plan(limits),
            None => linear(&self.shape.with_batch(self.batch)?),
        };
        Ok(plan?.stored_as(self.element))
    }

    /// Compares tensors with what is expected, by `slack` times what the operation may be off.
    ///
    /// # Errors
    /// Those of [`Case::operation`].
    pub fn checked(&self, found: &Tensors, expected: &Tensors, slack: f64) -> Result<Checked> {
        let Tolerance { absolute, relative } = self.operation()?.as_ref().map_or(Tolerance::OPERATION, Tolerance::of);
        let tolerance = Tolerance { absolute: slack * absolute, relative: slack * relative };
        let of_tensor = |(name, expected): (&String, &Tensor)| {
            let Some(found) = found.get(name) else { return Checked::wrong(f64::INFINITY, format!("{name} is missing")) };
            let (error, why) = match self.element {
                Element::F32 => {
                    let comparison = compare(found, expected, tolerance);
                    (comparison.share_of_tolerance, comparison.complaint())
                }
                Element::F16 => (half_share(found, expected, slack), half_disagreement(found, expected, slack)),
            };
            Checked { error, why: why.map(|why| format!("{name}: {why}")) }
        };
        Ok(expected.iter().map(of_tensor).fold(Checked::RIGHT, Checked::and))
    }

    /// How far a pick's score may be above the best one. Scores are sums or maxima of similarities of float16 rows to float16 rows where
    /// those are stored so.
    pub fn picks_tolerance(&self, operation: &Operation) -> f64 {
        match self.element {
            Element::F32 => picks::tolerance(operation),
            Element::F16 => Tolerance::HALF_NORM * f64::from(FEW),
        }
    }

    /// The name of a variant with what numbers are stored as, if that is not float32; `auto` for the engine's choice.
    pub fn variant_name(&self, variant: Option<Variant>) -> String {
        let name = variant.map_or("auto", Variant::name);
        match self.element {
            Element::F32 => name.to_owned(),
            Element::F16 => format!("{name}-f16"),
        }
    }

    /// The same, small enough for the reference.
    pub fn reduced(&self) -> Self {
        let approximation = match self.approximation.clone() {
            Approximation::Exact => Approximation::Exact,
            Approximation::Orthoformer(spec) => Approximation::Orthoformer(Prototypes { count: spec.count.min(FEW), ..spec }),
            Approximation::Nystrom(spec) => Approximation::Nystrom(Nystrom { landmarks: spec.landmarks.min(FEW), ..spec }),
            Approximation::Performer(spec) => {
                Approximation::Performer(Performer { features: spec.features.min(2 * FEW), ..spec })
            }
        };
        Self { shape: self.shape.reduced(), batch: self.batch.min(2), approximation, ..*self }
    }

    /// The approximation with its size and whatever of it is not as usual, without spaces: `orthoformer-128`, `orthoformer-64-max-per_frame`.
    pub fn approximation_name(&self) -> String {
        let mut parts = vec![self.approximation.name().to_owned()];
        match &self.approximation {
            Approximation::Exact => {}
            Approximation::Orthoformer(spec) => {
                parts.push(spec.count.to_string());
                parts.extend(selection_name(&spec.selection));
                parts.extend((spec.candidates == Candidates::QueriesAndKeys).then(|| "queries_and_keys".to_owned()));
                parts.extend(spec.per_frame.then(|| "per_frame".to_owned()));
            }
            Approximation::Nystrom(spec) => {
                parts.push(spec.landmarks.to_string());
                parts.extend((spec.iterations != ITERATIONS).then(|| format!("{}_iterations", spec.iterations)));
            }
            Approximation::Performer(spec) => parts.push(spec.features.to_string()),
        }
        parts.join("-")
    }
}

/// How prototypes are chosen, where that is not the paper's greedy selection.
fn selection_name(selection: &Selection) -> Vec<String> {
    let usual = Greedy::default();
    match selection {
        Selection::Greedy(greedy) => [
            (greedy.criterion != usual.criterion).then(|| "max".to_owned()),
            (!greedy.normalise).then(|| "raw".to_owned()),
            (greedy.fraction < usual.fraction).then(|| format!("{}_of_all", greedy.fraction)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Selection::Random { .. } => vec!["random".to_owned()],
        Selection::SegmentMeans => vec!["segment_means".to_owned()],
        Selection::KMeans { iterations, spherical, .. } => {
            vec![format!("{}k_means_{iterations}", if *spherical { "spherical_" } else { "" })]
        }
        Selection::Given(_) => vec!["given".to_owned()],
    }
}

/// The product that makes queries, keys and values of a layer.
fn linear(shape: &Shape) -> Result<Plan> {
    let (rows, c) = (shape.tokens() + 1, shape.channels());
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let [batch, t, inputs] = [shape.batch(), rows, c].map(u64::from);
    let x = builder.array("x", &[batch, t, inputs], Role::Input)?;
    let weight = builder.array("qkv.weight", &[3 * inputs, inputs], Role::Input)?;
    let bias = builder.array("qkv.bias", &[3 * inputs], Role::Input)?;
    let y = builder.array("y", &[batch, t, 3 * inputs], Role::Output)?;
    let product = Linear::new(x.with_axis(1, 1), weight, y.with_axis(1, 1));
    builder.launch("qkv", Linear { bias: Some(bias), ..product })?;
    Ok(builder.build())
}

/// Random tensors for the inputs of a plan: numbers of about one; matrices keep the size of what goes through them.
///
/// # Errors
/// None for a plan that was built.
pub fn inputs(plan: &Plan, seed: u64) -> Result<Tensors> {
    let of_input = |(index, spec): (usize, &orthoformer::plan::BufferSpec)| {
        let shape: Vec<usize> = spec.shape.iter().map(|&size| size as usize).collect();
        // Of three axes the last is summed over, as where each head has a matrix; of kernels of convolutions all but the first.
        let summed: usize = match shape.as_slice() {
            [.., last] if shape.len() <= 3 => *last,
            [_, rest @ ..] => rest.iter().product(),
            [] => 1,
        };
        let is_matrix = spec.name.ends_with(".weight") && shape.len() > 1;
        let scale = if is_matrix { (3.0 / summed.max(1) as f32).sqrt() } else { 1.7 };
        let numbers = draw::values(seed, index as u64, shape.iter().product(), scale);
        Ok((spec.name.clone(), Tensor::new(shape, numbers)?))
    };
    plan.buffers().iter().filter(|spec| spec.role == Role::Input).enumerate().map(of_input).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_plan() {
        for operation in BenchOperation::ALL {
            for shape in BenchShape::ALL {
                for approximation in operation.approximations(shape) {
                    for batch in [1, 4] {
                        let element = Element::F32;
                        let case = Case { operation, shape, batch, approximation: approximation.clone(), element };
                        let planned = (case.plan(), case.reduced().plan());
                        // What a binding cannot hold is said in a row of its own.
                        assert!(matches!(planned.0, Ok(_) | Err(orthoformer::Error::BindingTooLarge { .. })), "{case:?}");
                        assert!(planned.1.is_ok(), "{case:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_product_is_that_of_the_layer() {
        let case = |operation| Case { operation, ..Case::layer(BenchShape::MOTIONFORMER_B, 1) };
        let [linear, layer] =
            [BenchOperation::Linear, BenchOperation::Layer].map(|operation| case(operation).plan().expect("plans"));
        assert_eq!(linear.multiply_adds(), 1569 * 768 * 2304);
        let qkv = layer.dispatches().find(|dispatch| dispatch.label == "qkv").expect("a layer has it");
        assert_eq!(linear.multiply_adds(), qkv.multiply_adds);
    }
}

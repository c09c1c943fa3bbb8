//! Matrix units, where the adapter has them. Elsewhere nothing is checked here, and the output says so.

use orthoformer::Shape;
use orthoformer::kernel::Kernel;
use orthoformer::ops::Approximation;
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::plan::{Element, Plan, PlanLimits};
use orthoformer::variant::Variant;
use support::{assert_agree_as_half, engine, random_inputs};

fn layer_plan([batch, heads, frames, patches, size]: [usize; 5]) -> Plan {
    let spec = LayerSpec {
        shape: Shape::new(batch, heads, frames, patches, size).expect("a small shape"),
        attention: LayerAttention::Trajectory(TemporalValue::Projected),
        approximation: Approximation::Exact,
        class_token: true,
        biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
        outputs: LayerOutputs::default(),
    };
    layer::plan(&spec, PlanLimits::default()).expect("a small layer")
}

#[test]
fn layers_stored_as_half_run_on_matrix_units() {
    if engine().capabilities().matrix_side.is_none() {
        println!("skipped: {} has no matrix units for f16 with sums in f32, or subgroups of several sizes", engine().adapter());
        return;
    }
    for sizes in [[1, 3, 8, 49, 32], [2, 2, 3, 17, 64], [1, 2, 2, 5, 12]] {
        let plan = layer_plan(sizes);
        let inputs = random_inputs(&plan, 3);
        let half = plan.clone().stored_as(Element::F16);
        for kernel in [Kernel::Linear, Kernel::Attend] {
            let of_kernel = |plan: &Plan, stored: &str| {
                let mut dispatches = plan.dispatches().filter(|dispatch| dispatch.kernel == kernel);
                assert!(
                    dispatches.any(|d| engine().would_run_as(d, Variant::Cooperative)) == (stored == "f16"),
                    "{kernel:?} {stored}"
                );
            };
            of_kernel(&half, "f16");
            of_kernel(&plan, "f32");
        }
        assert_agree_as_half(&format!("{sizes:?}"), plan, &inputs);
    }
}

#[test]
fn storing_as_half_halves_what_kernels_share() {
    let plan = layer_plan([1, 3, 8, 49, 32]);
    let half = plan.clone().stored_as(Element::F16);
    assert!(half.peak_bytes() * 10 < plan.peak_bytes() * 6, "{} of {}", half.peak_bytes(), plan.peak_bytes());
    for (spec, other) in plan.buffers().iter().zip(half.buffers()) {
        let stays = spec.is_output() || spec.name == "temporal weights";
        assert_eq!(other.element, if stays { Element::F32 } else { Element::F16 }, "{}", spec.name);
    }
    assert_eq!(half.stored_as(Element::F32), plan);
}

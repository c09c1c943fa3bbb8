//! What a plan runs as where no variant is asked for.

use orthoformer::gpu::Engine;
use orthoformer::plan::{Dispatch, Plan};
use orthoformer::variant::Variant;

/// The variant that all of a plan runs as, with the baseline where it does not suit; all of them, with `+` between, where there is no one.
pub(super) fn chosen(engine: &Engine, plan: &Plan) -> String {
    let runs_as = |dispatch: &Dispatch, variant| match engine.would_run_as(dispatch, variant) {
        true => variant,
        false => Variant::Baseline,
    };
    let is_choice =
        |variant: &Variant| plan.dispatches().all(|dispatch| runs_as(dispatch, *variant) == engine.variant_of(dispatch));
    if let Some(variant) = Variant::ALL.into_iter().find(is_choice) {
        return variant.name().to_owned();
    }
    let used = |variant: &Variant| plan.dispatches().any(|dispatch| engine.variant_of(dispatch) == *variant);
    Variant::ALL.into_iter().filter(used).map(Variant::name).collect::<Vec<_>>().join("+")
}

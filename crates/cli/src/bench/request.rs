//! What `bench` measures by its flags.

use orthoformer::ops::Approximation;
use orthoformer::plan::Element;
use orthoformer::variant::Variant;
use orthoformer::{Error, Result};
use orthoformer_bench::{BenchOperation, BenchShape, Case, Request};

use super::BenchArgs;

/// The cases of the flags, each in the variants to measure it in; the CPU engine has its own choice alone.
///
/// # Errors
/// [`Error::Argument`] where nothing is left to measure.
pub(super) fn request(args: &BenchArgs, on_cpu: bool) -> Result<Request> {
    let approximation = args.approximation.wanted()?;
    let chosen = !args.operation.is_empty() || !args.shape.is_empty() || !args.batch.is_empty() || approximation.is_some();
    let or = |given: &[BenchShape], usual: &[BenchShape]| if given.is_empty() { usual.to_vec() } else { given.to_vec() };
    let operations: Vec<BenchOperation> = match args.operation.as_slice() {
        [] => BenchOperation::ALL.to_vec(),
        given => given.iter().copied().map(BenchOperation::from).collect(),
    };
    let usual = [BenchShape::SMALL, BenchShape::MOTIONFORMER_B];
    let shapes = or(&args.shape, if args.all { &BenchShape::ALL } else { &usual });
    let batches = match args.batch.as_slice() {
        [] if args.all => vec![1, 4],
        [] => vec![1],
        given => given.to_vec(),
    };
    let mut cases = Vec::new();
    for &shape in &shapes {
        for &batch in &batches {
            for &operation in &operations {
                let approximations = approximations(operation, shape, approximation.as_ref());
                let case = |approximation| Case { operation, shape, batch, approximation, element: Element::F32 };
                cases.extend(approximations.into_iter().map(case));
            }
        }
    }
    if !chosen && !args.all {
        cases.retain(is_usual);
    }
    if cases.is_empty() {
        let given = "no operation that goes through this approximation".to_owned();
        return Err(Error::Argument { what: "operations", given, expected: "at least one".to_owned() });
    }
    let large = |case: &Case| !chosen && !args.all && case.shape != BenchShape::SMALL;
    let variants = |case: &Case, element: Element| match args.variant.as_slice() {
        [] if large(case) || on_cpu => vec![None],
        [] => Variant::ALL.into_iter().map(Some).chain([None]).collect(),
        given => given.iter().filter(|name| name.1 == element).map(|name| name.0).collect::<Vec<_>>(),
    };
    let stored = |case: Case| Element::ALL.map(|element| (Case { element, ..case.clone() }, variants(&case, element)));
    let cases = cases.into_iter().flat_map(stored).filter(|(_, variants)| !variants.is_empty()).collect();
    Ok(Request { cases, ceilings: !args.how.no_ceilings, effort: args.how.effort() })
}

/// The approximations to measure an operation with: those that it has of the kind asked for.
fn approximations(operation: BenchOperation, shape: BenchShape, wanted: Option<&Approximation>) -> Vec<Approximation> {
    let usual = operation.approximations(shape);
    let Some(wanted) = wanted else { return usual };
    let kinds: Vec<&str> = usual.iter().map(Approximation::name).collect();
    if kinds.contains(&wanted.name()) { vec![wanted.clone()] } else { Vec::new() }
}

/// What is measured by default: everything that is small, and of what is large the operations that matter most.
fn is_usual(case: &Case) -> bool {
    let exact_or_paper = matches!(case.approximation, Approximation::Exact | Approximation::Orthoformer(_));
    case.shape == BenchShape::SMALL || (case.operation != BenchOperation::Attention && exact_or_paper)
}

//! Check of the picks of a greedy selection.
//!
//! A float32 selection may differ from the float64 one if two scores are closer than rounding, and then all later picks may differ.
//! So a float64 selection replays the picks: each must be as good as the best to within [`TOLERANCE`]. If
//! no other candidate is that close, this means equality.

use crate::error::{Error, Result};
use crate::ops::approximation::{Approximation, Candidates, Greedy, Prototypes, Selection, drawn_candidates};
use crate::ops::{LayerSpec, Operation, PrototypesSpec};
use crate::reference::direct::{Replay, replay};
use crate::tensor::{Tensor, Tensors, missing};

/// How far a pick's score may be above the best one.
pub const TOLERANCE: f64 = 1e-5;

/// The prototypes that an operation chooses, if it does.
pub fn prototypes_of(operation: &Operation) -> Option<&Prototypes> {
    match operation {
        Operation::Trajectories(_, approximation) | Operation::Attention(_, approximation) => of_approximation(approximation),
        Operation::Layer(spec) => of_approximation(&spec.approximation),
        Operation::Prototypes(spec) => Some(&spec.prototypes),
        Operation::Deformable(_) => None,
    }
}

fn of_approximation(approximation: &Approximation) -> Option<&Prototypes> {
    match approximation {
        Approximation::Orthoformer(prototypes) => Some(prototypes),
        _ => None,
    }
}

/// The same operation with these picks (output `indices` of a run) as given prototypes, to compare the rest of it.
pub fn with_picks(operation: &Operation, picks: &Tensor) -> Operation {
    let given = Selection::Given(picks.data().iter().map(|&pick| pick as u32).collect());
    let changed = |approximation: &Approximation| match approximation {
        Approximation::Orthoformer(prototypes) => {
            Approximation::Orthoformer(Prototypes { selection: given.clone(), ..prototypes.clone() })
        }
        other => other.clone(),
    };
    match operation {
        Operation::Trajectories(shape, approximation) => Operation::Trajectories(*shape, changed(approximation)),
        Operation::Attention(shape, approximation) => Operation::Attention(*shape, changed(approximation)),
        Operation::Prototypes(spec) => {
            let prototypes = Prototypes { selection: given, ..spec.prototypes.clone() };
            Operation::Prototypes(PrototypesSpec { prototypes, ..spec.clone() })
        }
        Operation::Layer(spec) => {
            let approximation = changed(&spec.approximation);
            Operation::Layer(LayerSpec { approximation, ..spec.clone() })
        }
        Operation::Deformable(_) => operation.clone(),
    }
}

/// Replays the picks of every group of an operation; `None` without a greedy selection. The candidates of a layer are results
/// themselves, and are recomputed in float64.
///
/// # Errors
/// [`Error::MissingTensor`], and [`Error::WrongShape`] if the picks are not as many as groups times prototypes, or if the inputs are not those of the
/// operation.
pub fn replay_all(operation: &Operation, inputs: &Tensors, picks: &Tensor) -> Result<Option<Vec<Replay>>> {
    let Some(prototypes) = prototypes_of(operation) else { return Ok(None) };
    let Selection::Greedy(greedy) = &prototypes.selection else { return Ok(None) };
    let names: &[&str] = match (operation, prototypes.candidates) {
        (Operation::Prototypes(_), _) => &["x"],
        (_, Candidates::Queries) => &["q"],
        (_, Candidates::QueriesAndKeys) => &["q", "k"],
    };
    let (frames, of_layer) = match operation {
        Operation::Prototypes(_) | Operation::Deformable(_) => (1, Tensors::new()),
        Operation::Trajectories(shape, _) | Operation::Attention(shape, _) => (shape.frames(), Tensors::new()),
        Operation::Layer(spec) => (spec.shape.frames(), projected(spec, inputs, names)?),
    };
    let source = |name: &&str| of_layer.get(*name).or(inputs.get(*name)).ok_or_else(|| missing(name, inputs));
    let sources: Vec<&Tensor> = names.iter().map(source).collect::<Result<_>>()?;
    let groups = groups_of(&sources, if prototypes.per_frame { frames as usize } else { 1 });
    let count = prototypes.count as usize;
    if picks.data().len() != groups.len() * count {
        let expected = format!("{count} picks for each of {} groups", groups.len());
        return Err(Error::WrongShape { name: "indices".to_owned(), found: picks.shape().to_vec(), expected });
    }
    let of_group = |(group, (rows, picks)): (usize, (Vec<&[f32]>, &[f32]))| replay_group(greedy, group, &rows, picks);
    Ok(Some(groups.into_iter().zip(picks.data().chunks(count.max(1))).enumerate().map(of_group).collect()))
}

/// How far a pick's score may be above the best one: farther if the candidates are float32 results themselves.
pub fn tolerance(operation: &Operation) -> f64 {
    if matches!(operation, Operation::Layer(_)) { 10.0 * TOLERANCE } else { TOLERANCE }
}

/// `q`, or `q` and `k`, `[B,H,N,D]` of a layer, without its class token.
fn projected(spec: &LayerSpec, inputs: &Tensors, names: &[&str]) -> Result<Tensors> {
    let shape = &spec.shape;
    let [batch, heads, tokens, size] =
        [shape.batch(), shape.heads(), shape.tokens(), shape.head_size()].map(|size| size as usize);
    let given = |name: &str| inputs.get(name).ok_or_else(|| missing(name, inputs));
    let (x, weight, bias) = (given("x")?, given("qkv.weight")?, inputs.get("qkv.bias"));
    let (channels, skip) = (heads * size, usize::from(spec.class_token));
    let rows: Vec<&[f32]> = x.data().chunks(channels).collect();
    let of_part = |part: usize| {
        let mut elements = Vec::with_capacity(batch * tokens * channels);
        for index in 0..batch * heads * tokens {
            let (token, head, item) = (index % tokens, index / tokens % heads, index / tokens / heads);
            let row = rows.get(item * (tokens + skip) + skip + token).copied().unwrap_or_default();
            for output in part * channels + head * size..part * channels + (head + 1) * size {
                let weights = weight.data().chunks(channels).nth(output).unwrap_or_default();
                let product: f64 = weights.iter().zip(row).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                let bias = bias.and_then(|bias| bias.data().get(output)).map_or(0.0, |&bias| f64::from(bias));
                elements.push((product + bias) as f32);
            }
        }
        Tensor::new(vec![batch, heads, tokens, size], elements)
    };
    names.iter().enumerate().map(|(part, name)| Ok(((*name).to_owned(), of_part(part)?))).collect()
}

/// The candidates of every group: a head's rows of each source, or those of each of its frames.
fn groups_of<'t>(sources: &[&'t Tensor], frames: usize) -> Vec<Vec<&'t [f32]>> {
    let &[.., rows, size] = sources[0].shape() else { return Vec::new() };
    let group = (rows / frames.max(1)).max(1) * size;
    let count = sources[0].data().len() / group.max(1);
    let of_source = |source: &'t Tensor, number: usize| source.data().chunks(group.max(1)).nth(number).unwrap_or_default();
    let rows = |number| sources.iter().flat_map(move |source| of_source(source, number).chunks(size.max(1))).collect();
    (0..count).map(rows).collect()
}

fn replay_group(greedy: &Greedy, group: usize, candidates: &[&[f32]], picks: &[f32]) -> Replay {
    let start = greedy.first_pick(group as u32).map(|start| start as usize);
    let Some(drawn) = drawn_candidates(greedy, group as u32, candidates.len() as u32, picks.len() as u32) else {
        let picks: Vec<usize> = picks.iter().map(|&pick| if pick >= 0.0 { pick as usize } else { usize::MAX }).collect();
        return replay(candidates, greedy.normalise, greedy.criterion, start, &picks);
    };
    // If a part of the candidates was drawn, picks and start are positions among those.
    let position = |candidate: u32| drawn.binary_search(&candidate).unwrap_or(usize::MAX);
    let looked_at: Vec<&[f32]> = drawn.iter().map(|&candidate| candidates[candidate as usize]).collect();
    let picks: Vec<usize> = picks.iter().map(|&pick| if pick >= 0.0 { position(pick as u32) } else { usize::MAX }).collect();
    let start = start.map(|start| position(start as u32));
    replay(&looked_at, greedy.normalise, greedy.criterion, start, &picks)
}

//! Whether the picks of a greedy selection are right.
//!
//! A float32 selection may differ from the float64 one where two scores are closer than rounding, and from there on everything that follows
//! does. So picks are replayed in float64 along the picks made, each of which has to be as good as the best to within [`TOLERANCE`]; where
//! no other candidate comes that close, that is equality.

use crate::error::{Error, Result};
use crate::ops::approximation::{Approximation, Candidates, Greedy, Prototypes, Selection};
use crate::ops::{Operation, PrototypesSpec};
use crate::reference::direct::{Replay, replay};
use crate::tensor::{Tensor, Tensors, missing};

/// How far a pick's score may be above the best there was.
pub const TOLERANCE: f64 = 1e-5;

/// The prototypes that an operation chooses, if it does.
pub fn prototypes_of(operation: &Operation) -> Option<&Prototypes> {
    match operation {
        Operation::Trajectories(_, approximation) | Operation::Attention(_, approximation) => of_approximation(approximation),
        Operation::Layer(spec) => of_approximation(&spec.approximation),
        Operation::Prototypes(spec) => Some(&spec.prototypes),
    }
}

fn of_approximation(approximation: &Approximation) -> Option<&Prototypes> {
    match approximation {
        Approximation::Orthoformer(prototypes) => Some(prototypes),
        _ => None,
    }
}

/// The same operation with these picks (output `indices` of a run) given instead of chosen: to compare what follows from them.
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
            Operation::Layer(crate::ops::LayerSpec { approximation, ..spec.clone() })
        }
    }
}

/// Replays the picks of every group of an operation whose candidates are its inputs. `None` if there is nothing to replay: no greedy
/// selection, one over a part of the candidates, or a layer, whose candidates are results.
///
/// # Errors
/// [`Error::MissingTensor`], and [`Error::WrongShape`] if the picks are not as many as groups times prototypes, or if the inputs are not those of the
/// operation.
pub fn replay_all(operation: &Operation, inputs: &Tensors, picks: &Tensor) -> Result<Option<Vec<Replay>>> {
    let Some(prototypes) = prototypes_of(operation) else { return Ok(None) };
    let Selection::Greedy(greedy) = &prototypes.selection else { return Ok(None) };
    if greedy.fraction < 1.0 {
        return Ok(None);
    }
    let (names, frames): (&[&str], u32) = match operation {
        Operation::Prototypes(_) => (&["x"], 1),
        Operation::Layer(_) => return Ok(None),
        Operation::Trajectories(shape, _) | Operation::Attention(shape, _) => (
            if prototypes.candidates == Candidates::Queries { &["q"] } else { &["q", "k"] },
            if prototypes.per_frame { shape.frames() } else { 1 },
        ),
    };
    let sources = names.iter().map(|name| inputs.get(*name).ok_or_else(|| missing(name, inputs)));
    let sources: Vec<&Tensor> = sources.collect::<Result<_>>()?;
    let groups = groups_of(&sources, frames as usize);
    let count = prototypes.count as usize;
    if picks.data().len() != groups.len() * count {
        let expected = format!("{count} picks for each of {} groups", groups.len());
        return Err(Error::WrongShape { name: "indices".to_owned(), found: picks.shape().to_vec(), expected });
    }
    let of_group = |(group, (rows, picks)): (usize, (Vec<&[f32]>, &[f32]))| replay_group(greedy, group, &rows, picks);
    Ok(Some(groups.into_iter().zip(picks.data().chunks(count.max(1))).enumerate().map(of_group).collect()))
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
    let picks: Vec<usize> = picks.iter().map(|&pick| if pick >= 0.0 { pick as usize } else { usize::MAX }).collect();
    let start = greedy.start.as_ref().and_then(|starts| starts.get(group)).map(|&start| start as usize);
    replay(candidates, greedy.normalise, greedy.criterion, start, &picks)
}

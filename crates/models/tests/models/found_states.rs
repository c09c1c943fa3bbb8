//! Which of several dictionaries in a file of PyTorch holds the network's tensors, and what is said of the others.

use std::path::Path;

use orthoformer_models::checkpoint::Checkpoint;

use crate::checkpoints::{Pickle, Stored, checkpoint, vector};

/// A dictionary, or so many tensors.
enum Item<'i> {
    Tensors(usize),
    Dict(&'i [(&'i str, Item<'i>)]),
}
use Item::{Dict, Tensors};

/// Appends entries, the tensors of which have the numbers that come next.
fn entries<'i>(mut pickle: Pickle, items: &'i [(&'i str, Item<'i>)], next: &mut i32) -> Pickle {
    for (key, item) in items {
        pickle = match item {
            Dict(items) => entries(pickle.text(key).raw(b"}"), items, next).raw(b"s"),
            Tensors(count) if key.is_empty() => tensors(pickle, *count, next),
            Tensors(count) => tensors(pickle.text(key).raw(b"}"), *count, next).raw(b"s"),
        };
    }
    pickle
}

/// Appends tensors `t0`, `t1` and so on: those of a dictionary have the same number, which is one more than that of the last.
fn tensors(pickle: Pickle, count: usize, next: &mut i32) -> Pickle {
    let own = Stored { offset: *next, shape: &[1], ..vector("0", 8) };
    *next += 1;
    (0..count).fold(pickle, |pickle, number| pickle.text(&format!("t{number}")).tensor(&own).raw(b"s"))
}

/// The number of the tensors that are taken, and the notes.
fn taken(items: &[(&str, Item<'_>)]) -> Result<(f32, Vec<String>), String> {
    let pickle = entries(Pickle::new().raw(b"}"), items, &mut 0).raw(b".").0;
    let bytes = checkpoint(&pickle, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let found = Checkpoint::parse(Path::new("MEMORY"), bytes).map_err(|error| error.to_string())?;
    Ok((found.read("t0").expect("there").data()[0], found.notes().to_vec()))
}

/// Some tensors under a key.
const fn some(key: &str) -> (&str, Item<'_>) {
    (key, Tensors(4))
}

#[test]
fn the_outer_key_counts_first_and_all_others_are_named() {
    let note = |taken: &str, others: &str| format!("the tensors are those {taken}; there are others under {others}");
    for (items, number, expected) in [
        (
            &[("ema", Dict(&[some("state_dict")])), ("model", Dict(&[some("state_dict")]))][..],
            1.0,
            note("under \"model.state_dict\"", "\"ema.state_dict\""),
        ),
        (&[some("ema"), ("model", Dict(&[some("state_dict")]))], 1.0, note("under \"model.state_dict\"", "\"ema\"")),
        (
            &[("ema", Dict(&[some("module")])), ("net2", Dict(&[some("module")]))],
            0.0,
            note("under \"ema.module\"", "\"net2.module\""),
        ),
        (&[some("model"), ("ema", Dict(&[some("module")]))], 0.0, note("under \"model\"", "\"ema.module\"")),
        (&[("avg", Dict(&[some("shadow")])), some("model")], 1.0, note("under \"model\"", "\"avg.shadow\"")),
        (&[("it", Dict(&[some("student"), some("teacher")]))], 1.0, note("under \"it.teacher\"", "\"it.student\"")),
        // The outermost itself.
        (&[("", Tensors(5)), some("ema")], 0.0, note("of the outermost dictionary", "\"ema\"")),
    ] {
        assert_eq!(taken(items), Ok((number, vec![expected])));
    }
}

#[test]
fn small_dictionaries_beside_a_network_are_not_it() {
    for (items, number) in [
        (&[("", Tensors(40)), ("extra", Tensors(1))][..], 0.0),
        (&[("", Tensors(40)), ("model", Tensors(1))], 0.0),
        (&[("model", Tensors(1)), ("", Tensors(40))], 1.0),
        (&[("model", Tensors(1)), ("net", Tensors(40))], 1.0),
        (&[("model", Dict(&[("", Tensors(1)), ("state_dict", Tensors(40))]))], 1.0),
        // A larger network that the one is trained with.
        (&[("loss", Tensors(40)), ("model", Tensors(8))], 1.0),
    ] {
        let (found, _) = taken(items).expect("one network");
        assert_eq!(found, number);
    }
}

#[test]
fn of_unknown_keys_with_as_much_none_is_taken() {
    for items in [
        &[some("left"), some("right")][..],
        &[("left", Dict(&[some("net")])), ("right", Dict(&[some("net")]))],
        &[("left", Tensors(3)), some("right")],
    ] {
        let refused = taken(items).expect_err("which?");
        let is_named =
            |key: &str| refused.contains(&format!("under {key:?}")) || refused.contains(&format!("under \"{key}.net\""));
        assert!(is_named("left") && is_named("right") && refused.ends_with("save one of them alone"), "{refused}");
    }
    assert_eq!(taken(&[("left", Tensors(2)), ("right", Tensors(5))]), Ok((1.0, vec![])));
}

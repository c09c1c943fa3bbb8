//! Heads on the features of the network that ships, for classes that it was not trained on.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;
use orthoformer::ops::Approximation;
use orthoformer::ops::approximation::{Candidates, Prototypes, Selection};
use orthoformer::plan::Element;
use orthoformer::{Error, Tensor};
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::probe::{
    Attentive, ClipList, Example, Folds, Head, HeadKind, Kept, Linear, Readout, Trained, fits, interval, train,
};
use orthoformer_models::{Classified, Config, Features, Model, NetworkOutputs, Overrides, Placed, Tokens, ball, classify};
use orthoformer_video::ball_motion::{FRAMES, SIDE};
use orthoformer_video::views::Views;
use serde_json::{Value, json};
use support::{COLOURS, coloured_clip, engine, numbers};

/// Clips that heads are trained on.
const TRAINED: u64 = 48;
/// Seeds from here on are never trained on.
const HELD_OUT: u64 = 1000;
/// Clips of those.
const JUDGED: u64 = 32;
const BATCH: usize = 8;

fn model() -> Model<'static> {
    ball::model(Placed::Gpu(engine()), Approximation::Exact).expect("what ships is sound")
}

/// The mean of the patches of a block, a clip a row, with the clip's class.
fn examples(model: &Model<'_>, layer: Features, seeds: impl Iterator<Item = u64>) -> Vec<Example> {
    let seeds: Vec<u64> = seeds.collect();
    let outputs = NetworkOutputs { features: Some(layer), ..NetworkOutputs::NOTHING };
    let of_batch = |seeds: &[u64]| {
        let clips: Vec<Vec<RgbImage>> = seeds.iter().map(|&seed| coloured_clip(seed, FRAMES, SIDE)).collect();
        let clips: Vec<&[RgbImage]> = clips.iter().map(Vec::as_slice).collect();
        let found = model.run(&model.config().clips(&clips).expect("clips"), &outputs).expect("runs");
        let all = &found["features"];
        let [_, tokens, channels] = *all.shape() else { panic!("{:?}", all.shape()) };
        let of_clip = |(&seed, all): (&u64, &[f32])| {
            let mut mean = vec![0.0; channels];
            // Without the class token.
            let patches = all.chunks_exact(channels).skip(1);
            patches.for_each(|patch| mean.iter_mut().zip(patch).for_each(|(sum, value)| *sum += value / (tokens - 1) as f32));
            let features = Tensor::new(vec![1, channels], mean).expect("a row");
            Example { features: features.into(), class: (seed % COLOURS.len() as u64) as usize }
        };
        seeds.iter().zip(all.data().chunks_exact(tokens * channels)).map(of_clip).collect::<Vec<_>>()
    };
    seeds.chunks(BATCH).flat_map(of_batch).collect()
}

fn folds(examples: &[Example], classes: usize, seed: u64) -> Folds {
    let labels = (0..classes).map(|class| format!("class {class}")).collect();
    let clips = (0..examples.len()).map(|clip| clip.to_string().into()).collect();
    let (classes, groups) = (examples.iter().map(|example| example.class).collect(), (0..examples.len()).collect());
    let list = ClipList { labels, clips, classes, groups };
    Folds::draw(&list, 4, seed).expect("folds")
}

fn trained(examples: &[Example], classes: usize, seed: u64) -> Trained {
    let (folds, flow) = (folds(examples, classes, seed), |_| ControlFlow::Continue(()));
    let found = train(examples, classes, &folds, HeadKind::Linear, None, flow).expect("as many folds");
    let ControlFlow::Continue(trained) = found else { panic!("nobody interrupts it") };
    trained
}

#[test]
fn colours_are_told_by_a_network_that_was_trained_on_motions() {
    let model = model();
    let layer = Features::Block(0);
    let trained = trained(&examples(&model, layer, 0..TRAINED), COLOURS.len(), 0);
    let judged = examples(&model, layer, HELD_OUT..HELD_OUT + JUDGED);
    let is_right = |example: &&Example| {
        let features = example.features.read().expect("in memory");
        trained.readout.average(&features).top(1)[0].0 == example.class
    };
    let right = judged.iter().filter(is_right).count();
    println!("{} of {TRAINED} right by cross-validation, {right} of {JUDGED} held-out seeds", trained.right);
    assert!(right as f64 > 0.9 * JUDGED as f64, "{right} of {JUDGED} right");
    // Heads of the folds have only three quarters of those few clips.
    assert!(trained.right as f64 > 0.8 * TRAINED as f64, "{trained:?}");
    let [low, high] = interval(trained.right, TRAINED as usize, TRAINED as usize);
    assert!(low < right as f64 / JUDGED as f64 && trained.converged && high > 0.9);
}

#[test]
fn the_same_seed_gives_the_same_head_and_noise_is_not_learnt() {
    // Features that know nothing of the classes: choosing among penalties is not to make it look as if they did.
    let noise = |index: usize| Example {
        features: Tensor::new(vec![2, 20], numbers(index as u64, 40, 1.0)).expect("views").into(),
        class: index % 3,
    };
    let noise: Vec<Example> = (0..120).map(noise).collect();
    let (one, again, other) = (trained(&noise, 3, 5), trained(&noise, 3, 5), trained(&noise, 3, 6));
    assert_eq!((&one.readout, &one.guesses, one.strength), (&again.readout, &again.guesses, again.strength));
    assert_ne!(one.guesses, other.guesses);
    let [low, high] = interval(one.right, 120, 120);
    assert!(low < 1.0 / 3.0 && 1.0 / 3.0 < high, "{} of 120", one.right);
}

#[test]
fn training_ends_when_it_is_told_to() {
    let examples: Vec<Example> = (0..12)
        .map(|index| Example {
            features: Tensor::new(vec![1, 3, 2], numbers(index, 6, 1.0)).expect("three tokens").into(),
            class: index as usize % 2,
        })
        .collect();
    let folds = folds(&examples, 2, 0);
    for kind in HeadKind::ALL {
        assert!(train(&examples, 2, &folds, kind, None, |_| ControlFlow::Break(())).expect("as many folds").is_break());
        // Within a fit, too, and every fit is counted.
        let after = |most: usize| {
            let flow = move |done: usize| if done < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
            train(&examples, 2, &folds, kind, None, flow).expect("as many folds")
        };
        assert!(after(3).is_break() && after(fits(kind, &folds) + 1).is_continue(), "{kind}");
    }
    let flow = |_| ControlFlow::Continue(());
    let error = train(&examples[1..], 2, &folds, HeadKind::Linear, None, flow).expect_err("one is missing").to_string();
    assert!(error.contains("12, of which the folds are"), "{error}");
}

#[test]
fn training_goes_on_where_it_was_interrupted() {
    let example = |index: u64, tokens: usize| Example {
        features: Tensor::new(vec![1, tokens, 2], numbers(index, tokens * 2, 1.0)).expect("tokens").into(),
        class: index as usize % 2,
    };
    for (kind, tokens) in [(HeadKind::Linear, 1), (HeadKind::Attentive, 3)] {
        let examples: Vec<Example> = (0..24).map(|index| example(index, tokens)).collect();
        let (folds, folder) = (folds(&examples, 2, 0), tempfile::tempdir().expect("a folder"));
        // Steps are counted, and fits that are done end it.
        let run = |keep, most: usize| {
            let asked = AtomicUsize::new(0);
            let flow = |done: usize| {
                asked.fetch_add(1, Ordering::Relaxed);
                if done < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let found = train(&examples, 2, &folds, kind, keep, flow).expect("as many folds");
            let ControlFlow::Continue(Trained { readout, strength, guesses, unconverged, .. }) = found else { return None };
            Some(((readout, strength, guesses, unconverged), asked.into_inner()))
        };
        let files =
            || std::fs::read_dir(folder.path()).expect("made").map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>();
        let (expected, steps) = run(None, usize::MAX).expect("nobody interrupts it");
        // Then one pair at least of the ten of four folds has all of its fits.
        assert!(run(Some(folder.path()), 10 * (kind.strengths().len() - 1) + 1).is_none());
        assert!(!files().is_empty());
        let (found, rest) = run(Some(folder.path()), usize::MAX).expect("nobody interrupts it");
        assert!(found == expected && rest < steps && files().len() == 10, "{rest} of {steps} steps");
        let (found, last) = run(Some(folder.path()), usize::MAX).expect("nobody interrupts it");
        assert!(found == expected && last <= rest, "the last fit alone, of all clips");
        // What is damaged, or of other sizes, is made again.
        std::fs::write(&files()[0], b"{").expect("written");
        std::fs::write(&files()[1], br#"{"unconverged":0,"scores":[]}"#).expect("written");
        assert_eq!(run(Some(folder.path()), usize::MAX).expect("nobody interrupts it").0, expected);
        // Of other examples nothing is known.
        let others: Vec<Example> = (1..25).map(|index| example(index, tokens)).collect();
        let flow = |_| ControlFlow::Continue(());
        assert!(train(&others, 2, &self::folds(&others, 2, 0), kind, Some(folder.path()), flow).expect("trains").is_continue());
        assert_eq!(files().len(), 20);
    }
}

#[test]
fn features_that_cannot_be_read_end_all_fits() {
    let feature = |index: u64| match index {
        7 => Kept::InFile(Checkpoint::open(&support::shipped("models/patches_2d.pyth")).expect("a file without features")),
        _ => Tensor::new(vec![1, 3], numbers(index, 3, 1.0)).expect("a row").into(),
    };
    let examples: Vec<Example> = (0..12).map(|index| Example { features: feature(index), class: index as usize % 2 }).collect();
    let error = train(&examples, 2, &folds(&examples, 2, 0), HeadKind::Linear, None, |_| ControlFlow::Continue(()));
    assert!(matches!(error, Err(Error::MissingTensor { .. })), "{error:?}");
}

#[test]
fn a_head_that_makes_no_numbers_fails_the_clip() {
    let model = model();
    let channels = model.config().network.tokens(Features::Final).expect("tokens").channels as usize;
    let readout = Readout::Linear(Linear { weight: vec![3e38; 2 * channels], bias: vec![f32::MAX, -f32::MAX] });
    let labels = vec!["a".to_owned(), "b".to_owned()];
    let head = Head::new(&model, (Features::Final, Tokens::Mean), (labels, readout), []).expect("a head");
    let clips = [support::shipped("clips/ball.mp4"), support::shipped("clips/ball.gif")];
    let mut found: Vec<Classified> = Vec::new();
    let flow = classify(&model, &clips, (Views { temporal: 1, spatial: 1 }, 2), Some(&head), &mut found).expect("goes on");
    assert!(flow.is_continue() && found.len() == 2);
    for (clip, found) in clips.iter().zip(found) {
        let error = found.watched.failure.expect("infinite").to_string();
        assert!(error.starts_with(&clip.display().to_string()) && error.contains("the head makes "), "{error}");
        assert!(found.heads.is_empty());
    }
}

#[test]
fn heads_are_read_as_they_were_written_and_refuse_other_features() {
    let (model, folder) = (model(), tempfile::tempdir().expect("a folder"));
    let layer = Features::Block(0);
    let channels = model.config().network.tokens(layer).expect("tokens").channels as usize;
    let linear = Readout::Linear(Linear { weight: numbers(1, 2 * channels, 1.0), bias: vec![0.5, -0.5] });
    let labels = vec!["a \"quoted\" label".to_owned(), "[other]".to_owned()];
    let path = folder.path().join("head.safetensors");
    let head = Head::new(&model, (layer, Tokens::Mean), (labels.clone(), linear.clone()), [("clips", "12".to_owned())]);
    head.expect("a head").write(&path).expect("writes");
    let found = Head::read(&path).expect("reads");
    assert_eq!((&found.labels, found.layer, found.tokens, &found.readout), (&labels, layer, Tokens::Mean, &linear));
    assert_eq!(found.facts["clips"], "12");
    found.check(&model).expect("its own network");
    let selection = Selection::SegmentMeans;
    let by_prototypes = Prototypes { count: 4, candidates: Candidates::Queries, selection, per_frame: false };
    let other = ball::model(Placed::Gpu(engine()), Approximation::Orthoformer(by_prototypes)).expect("a network");
    let error = found.check(&other).expect_err("another attention").to_string();
    assert!(error.contains("head.safetensors: a head for other features: network was"), "{error}");
    let with = |readout: Readout| {
        let mut other = found.clone();
        other.readout = readout;
        other
    };
    let rows = |weights: usize| Readout::Linear(Linear { weight: vec![0.5; weights], bias: vec![0.5; 2] });
    let short = with(rows(2 * channels - 1));
    assert!(short.check(&model).expect_err("a weight is missing").to_string().contains("for each of 2 labels"));
    assert!(short.write(&path).expect_err("a weight is missing").to_string().contains("for each of 2 labels"));
    with(rows(channels)).write(&path).expect("writes");
    let narrow = Head::read(&path).expect("half as many channels").check(&model).expect_err("too few channels").to_string();
    assert!(narrow.contains(&format!("a head for features of {} channels; there are {channels} here", channels / 2)), "{narrow}");
}

#[test]
fn what_people_are_not_told_of_a_network_counts_too() {
    let model = |epsilon: f64| {
        let path = support::shipped("networks/timesformer_divided_space_time/model.safetensors");
        let checkpoint = Checkpoint::open(&path).expect("shipped");
        let mut said: Value = serde_json::from_str(checkpoint.description().expect("reads").expect("beside it")).expect("JSON");
        said["layer_norm_eps"] = json!(epsilon);
        let checkpoint = checkpoint.described(said.to_string());
        let config = Config::of(&checkpoint, &Overrides::default()).expect("all said");
        Model::new(Placed::Reference, checkpoint, config, Element::F32).expect("a network")
    };
    let (one, other) = (model(1e-6), model(1e-5));
    let channels = one.config().network.tokens(Features::Final).expect("tokens").channels as usize;
    let readout = Readout::Linear(Linear { weight: numbers(1, 2 * channels, 1.0), bias: vec![0.5, -0.5] });
    let labels = vec!["a".to_owned(), "b".to_owned()];
    let head = Head::new(&one, (Features::Final, Tokens::Mean), (labels, readout), []).expect("a head");
    head.check(&one).expect("its own network");
    let error = head.check(&other).expect_err("another epsilon").to_string();
    assert!(error.contains("a head for other features: architecture was "), "{error}");
}

#[test]
fn attentive_heads_are_read_as_they_were_written() {
    let (model, folder) = (model(), tempfile::tempdir().expect("a folder"));
    let channels = model.config().network.tokens(Features::Final).expect("tokens").channels as usize;
    let attentive = |queries: usize| {
        let (queries, weight) = (numbers(1, queries, 1.0), numbers(2, 2 * 3 * channels, 1.0));
        Readout::Attentive(Attentive { channels, queries, weight, bias: vec![0.5, -0.5] })
    };
    let labels = vec!["a".to_owned(), "b".to_owned()];
    let features = (Features::Final, Tokens::Patches);
    let head = Head::new(&model, features, (labels, attentive(3 * channels)), []).expect("a head");
    let path = folder.path().join("head.safetensors");
    head.write(&path).expect("writes");
    let found = Head::read(&path).expect("reads");
    assert_eq!((&found.readout, found.tokens), (&head.readout, Tokens::Patches));
    found.check(&model).expect("its own network");
    let mut short = found;
    short.readout = attentive(3 * channels - 1);
    assert!(short.write(&path).expect_err("an element is missing").to_string().contains("whole queries"));
}

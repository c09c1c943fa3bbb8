//! The tuner: what it keeps, what it refuses, and that what it found is used.

use orthoformer::gpu::{Engine, EngineOptions};
use orthoformer::plan::Element;
use orthoformer::variant::{Trial, Tuning, TuningKey, Variant, VariantChoice, VariantRow};
use orthoformer::{Error, Plan};
use orthoformer_bench::tune::{TuneOptions, load, save, save_pipelines, tune, verify};
use orthoformer_bench::{BenchShape, Case};
use support::engine;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place to write")
}

fn small() -> BenchShape {
    "4x9x48x3".parse().expect("a shape")
}

fn fresh() -> Engine {
    Engine::new(&EngineOptions { matrix_units: true, ..EngineOptions::default() }).expect("the adapter of the other tests")
}

#[test]
fn what_was_tuned_is_used_and_kept() {
    let engine = fresh();
    let two = TuneOptions { rounds: 2, ..TuneOptions::default() };
    let mut report = tune(&engine, &[small()], two, |_| Ok(())).expect("tunes");
    let plan = Case::layer(small(), 1).plan().expect("plans");
    let mut plans = vec![plan.clone()];
    if engine.capabilities().f16 {
        report
            .work
            .extend(tune(&engine, &[small()], TuneOptions { element: Element::F16, ..two }, |_| Ok(())).expect("tunes").work);
        plans.push(plan.stored_as(Element::F16));
    }
    assert!(report.wrong.is_empty(), "{report:?}");
    for dispatch in plans.iter().flat_map(Plan::dispatches) {
        let key = TuningKey::of(dispatch);
        let timed = report.work.iter().find(|timed| (timed.kernel, &timed.sizes) == (key.kernel.row().stem, &key.sizes));
        let timed = timed.unwrap_or_else(|| panic!("{key:?} was not timed"));
        let (fastest, chosen) = (&timed.median_ms[0].0, engine.choice_of(dispatch).name(dispatch.kernel));
        assert!([fastest, &timed.untuned].contains(&&chosen), "{timed:?}");
        assert!(timed.untuned_ratio < 1.05 || chosen == *fastest, "{timed:?}");
        // Every tile size that fits was timed, or said to be hopeless: which, a busy machine may decide.
        let tiles = VariantRow::of(dispatch.kernel, Variant::Tiles).map_or(0, |row| row.tiles.len());
        let fits = |tile: &usize| engine.would_run_as(dispatch, VariantChoice { variant: Variant::Tiles, tile: Some(*tile) });
        let names = timed.median_ms.iter().map(|(name, _)| name).chain(&timed.given_up);
        let of_tiles = names.filter(|name| name.starts_with("tiles ")).count();
        assert_eq!(of_tiles, (0..tiles).filter(fits).count(), "{timed:?}");
        assert!(timed.median_ms.iter().all(|(_, ms)| *ms > 0.0) && timed.untuned_ratio >= 1.0, "{timed:?}");
    }
    let folder = folder();
    let path = folder.path().join("deep").join("cache.json");
    save(&path, engine.adapter(), &engine.tuning()).expect("a place to write");
    assert_eq!(load(&path, engine.adapter()).expect("its own file"), Some(engine.tuning()));
    assert_eq!(load(&folder.path().join("none.json"), engine.adapter()).expect("no file is no error"), None);
}

#[test]
fn a_variant_that_is_wrong_is_never_used() {
    let engine = fresh();
    let plan = Case::layer(small(), 1).plan().expect("plans");
    let dispatch = plan.dispatches().next().expect("a layer has some");
    let chosen = engine.untuned_choice_of(dispatch).variant;
    assert_ne!(chosen, Variant::Baseline, "there is a better one everywhere");
    let mut tuning = Tuning::default();
    tuning.best.insert(TuningKey::of(dispatch), chosen.into());
    tuning.wrong.insert(Trial::of(dispatch, chosen), "seven is not eight".to_owned());
    engine.set_tuning(tuning);
    assert_ne!(engine.variant_of(dispatch), chosen);
    assert_eq!(engine.untuned_choice_of(dispatch).variant, chosen);
    assert!(!engine.would_run_as(dispatch, chosen));
    // Tuning looks again: nothing is wrong with it any more.
    let report = tune(&engine, &[small()], TuneOptions { rounds: 1, ..TuneOptions::default() }, |_| Ok(())).expect("tunes");
    assert!(report.wrong.is_empty() && engine.tuning().wrong.is_empty(), "{report:?}");
}

#[test]
fn all_variants_of_this_adapter_are_right() {
    for element in Element::ALL {
        if element == Element::F16 && !engine().capabilities().f16 {
            println!("skipped: f16, which {} does not have", engine().adapter());
            continue;
        }
        let verified = verify(engine(), &Case { element, ..Case::layer(small(), 1) }).expect("runs");
        assert!(verified.wrong.is_empty() && verified.tried.len() >= 3, "{verified:?}");
        assert!(verified.tried.iter().all(|trial| trial.element == element), "{verified:?}");
    }
}

#[test]
fn caches_of_others_and_damaged_ones_are_refused() {
    let folder = folder();
    let path = folder.path().join("cache.json");
    save(&path, engine().adapter(), &Tuning::default()).expect("a place to write");
    let good = std::fs::read_to_string(&path).expect("just written");
    let refused = |contents: &str, said: &str| {
        std::fs::write(&path, contents).expect("a place to write");
        let error = load(&path, engine().adapter()).expect_err(said);
        assert!(matches!(&error, Error::Contents { .. }) && error.to_string().contains(said), "{error}");
    };
    refused(&good[..good.len() / 2], "not a tuning cache");
    refused("", "not a tuning cache");
    refused("[1, 2]", "not a tuning cache");
    refused(&good.replace("orthoformer tuning", "something else"), "made for");
    refused(&good.replace(&engine().adapter().name, "Voodoo 2"), "Voodoo 2");
    let best = r#""best": [{"kernel": "warp", "sizes": "", "variant": "tiles"}]"#;
    refused(&good.replace(r#""best": []"#, best), "warp");
    refused(&good.replace(r#""best": []"#, &best.replace("tiles", "magic")), "not a tuning cache");
    let tile = best.replace("warp", "linear").replace(r#""tiles""#, r#""tiles", "tile": "7x7""#);
    refused(&good.replace(r#""best": []"#, &tile), "7x7");
}

#[test]
fn compiled_pipelines_are_kept() {
    let folder = folder();
    let options = EngineOptions { pipeline_folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
    let files = || std::fs::read_dir(folder.path()).expect("a folder").count();
    for contents in ["", "no pipelines at all"] {
        let engine = Engine::new(&options).expect("the adapter of the other tests");
        let plan = Case::layer(small(), 1).plan().expect("plans");
        let inputs = support::random_inputs(&plan, 1);
        engine.run(&plan, &inputs, orthoformer::gpu::RunOptions::default()).expect("runs");
        save_pipelines(&engine, folder.path()).expect("a place to write");
        if engine.adapter().backend != "vulkan" {
            println!("pipelines are not kept here: {} has no pipeline cache", engine.adapter());
            return;
        }
        assert_eq!(files(), 1);
        let kept = std::fs::read_dir(folder.path()).expect("a folder").next().expect("one file").expect("readable").path();
        assert!(std::fs::metadata(&kept).expect("just written").len() > 0);
        // A damaged file is as good as none.
        if !contents.is_empty() {
            std::fs::write(&kept, contents).expect("a place to write");
        }
    }
    Engine::new(&options).expect("a damaged file is not in the way");
}

//! Joint attention, and attention rolled out through all blocks, held against whole matrices.

use orthoformer::{Error, Tensor, Tensors};
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{AttendOptions, Config, NetworkOutputs, Overrides, PointedPatch, Rollout};

use super::looking::*;

/// Networks, their heads, whether they have a class token, and whether attention is divided.
const NETWORKS: [(&str, usize, usize, bool); 6] = [
    ("vjepa2", 2, 0, false),
    ("vjepa2_encoder", 2, 0, false),
    ("videomae_mean_pooling", 4, 0, false),
    ("vivit", 3, 1, false),
    ("timesformer_joint_space_time", 3, 1, false),
    ("timesformer_divided_space_time", 3, 1, true),
];

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&shipped(&format!("networks/{name}/model.safetensors"))).expect("kept")
}

/// Rows of elements.
type Matrix = Vec<Vec<f64>>;

/// What tokens attend to of those that `sees` allows them: the mean of these heads of so many.
fn attention(
    packed: &orthoformer::Tensor,
    heads: usize,
    own: std::ops::Range<usize>,
    sees: impl Fn(usize, usize) -> bool,
) -> Matrix {
    let (tokens, c) = (packed.shape()[1], packed.shape()[2] / 3);
    let size = c / heads;
    let part = |token: usize, part: usize, head: usize| -> Vec<f64> {
        packed.data()[token * 3 * c + part * c + head * size..][..size].iter().map(|&x| x.into()).collect()
    };
    let mut mean = vec![vec![0.0; tokens]; tokens];
    for head in own.clone() {
        for (query, row) in mean.iter_mut().enumerate() {
            let score = |key: usize| match sees(query, key) {
                true => dot(&part(query, 0, head), &part(key, 1, head)) / (size as f64).sqrt(),
                false => f64::NEG_INFINITY,
            };
            let weights = softmax(&(0..tokens).map(score).collect::<Vec<_>>());
            row.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight / own.len() as f64);
        }
    }
    mean
}

fn times(a: &Matrix, b: &Matrix) -> Matrix {
    let column = |j: usize| b.iter().map(|row| row[j]).collect::<Vec<_>>();
    let columns: Matrix = (0..b.len()).map(column).collect();
    a.iter().map(|row| columns.iter().map(|column| dot(row, column)).collect()).collect()
}

/// `(A + I) / 2`.
fn with_residual(mut a: Matrix) -> Matrix {
    for (number, row) in a.iter_mut().enumerate() {
        row[number] += 1.0;
        row.iter_mut().for_each(|weight| *weight /= 2.0);
    }
    a
}

/// The factor of a block, from what it compares.
fn factor(operands: &Tensors, heads: usize, divided: bool, [steps, patches]: [usize; 2]) -> Matrix {
    if !divided {
        return with_residual(attention(&operands["operands"], heads, 0..heads, |_, _| true));
    }
    let position = |token: usize| ((token - 1) / patches, (token - 1) % patches);
    // Patches see their frame and the class token. The class token sees each frame and itself by a softmax of its own, and has the mean.
    let in_frame = |query: usize, key: usize| key == 0 || query > 0 && position(query).0 == position(key).0;
    let mut space = attention(&operands["operands"], heads, 0..heads, in_frame);
    let of_frames = (0..steps).map(|step| {
        let sees = |query: usize, key: usize| key == 0 || query == 0 && position(key).0 == step;
        attention(&operands["operands"], heads, 0..heads, sees).remove(0)
    });
    let of_frames: Matrix = of_frames.collect();
    space[0] = (0..1 + steps * patches).map(|key| of_frames.iter().map(|row| row[key]).sum::<f64>() / steps as f64).collect();
    let along = |query: usize, key: usize| match (query, key) {
        (0, _) | (_, 0) => query == key,
        _ => position(query).1 == position(key).1,
    };
    let time = attention(&operands["time_operands"], heads, 0..heads, along);
    times(&with_residual(space), &with_residual(time))
}

fn operands(looked: &Looked, block: u32) -> Tensors {
    let wanted = NetworkOutputs { operands: Some(block), ..NetworkOutputs::NOTHING };
    let mut found = looked.network.run(&looked.clip, &wanted).expect("runs");
    // Queries and keys that are apart, packed.
    if let (Some(queries), Some(keys)) = (found.get("queries"), found.get("keys")) {
        let &[_, tokens, c] = queries.shape() else { panic!("{:?}", queries.shape()) };
        let rows = queries.data().chunks(c).zip(keys.data().chunks(c));
        let packed = rows.flat_map(|(query, key)| [query, key, &vec![f32::NAN; c]].concat()).collect();
        found.insert("operands".to_owned(), Tensor::new(vec![1, tokens, 3 * c], packed).expect("all of them"));
    }
    found
}

/// Number of the patch that is looked at, without class token.
fn number(looked: &Looked) -> usize {
    let (patch, grid) = (&looked.patch, &looked.patch.grid);
    (patch.step * grid.rows as usize + patch.patch.1 as usize) * grid.columns as usize + patch.patch.0 as usize
}

#[test]
fn a_patch_of_joint_attention_sees_all_patches() {
    for (name, heads, class, _) in NETWORKS.into_iter().filter(|network| !network.3) {
        for (block, head) in [(0, None), (1, None), (1, Some(heads as u32 - 1)), (0, Some(0))] {
            let options = AttendOptions { block: Some(block), head, frame: 3, ..AT };
            let looked = look(|| open(name), &Overrides::default(), options);
            assert_eq!(looked.patch.notes.iter().filter(|note| note.contains("rollout")).count(), 0);
            let own = head.map_or(0..heads, |head| head as usize..head as usize + 1);
            // Heads see the patches alone: the class token is left out of each softmax.
            let patches = |_, key| key >= class;
            let row = attention(&operands(&looked, block)["operands"], heads, own, patches).remove(class + number(&looked));
            let all: f64 = row[class..].iter().sum();
            close(&whole(&looked.track), &row[class..].iter().map(|weight| weight / all).collect::<Vec<_>>(), 1e-5);
        }
    }
}

#[test]
fn rollouts_are_rows_of_the_product_of_all_blocks() {
    for (name, heads, class, divided) in NETWORKS {
        for (rollout, block, frame) in
            [(Rollout::Patch, 1, 5), (Rollout::Patch, 0, 11), (Rollout::Class, 1, 0), (Rollout::Class, 0, 0)]
        {
            if rollout == Rollout::Class && class == 0 {
                continue;
            }
            let options = AttendOptions { block: Some(block), rollout: Some(rollout), frame, ..AT };
            let looked = look(|| open(name), &Overrides::default(), options);
            let grid = &looked.patch.grid;
            let sizes = [looked.track.sightings.len(), (grid.rows * grid.columns) as usize];
            let factors = (0..=block).rev().map(|block| factor(&operands(&looked, block), heads, divided, sizes));
            let product = factors.reduce(|a, b| times(&a, &b)).expect("a block");
            let row = &product[if rollout == Rollout::Class { 0 } else { class + number(&looked) }];
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "rows stay normalised");
            let patches: f64 = row[class..].iter().sum();
            let expected: Vec<f64> = row[class..].iter().map(|weight| weight / patches).collect();
            println!("{name} {rollout:?} from {block}: {:.3} of the class token", 1.0 - patches);
            close(&whole(&looked.track), &expected, 1e-6);
            let note = format!("{:.0} % of the rollout is the class token's", 100.0 * (1.0 - patches));
            assert_eq!(looked.patch.notes.iter().any(|found| found.starts_with(&note)), class == 1, "{:?}", looked.patch.notes);
            assert!(looked.track.sightings.iter().all(|sighting| !sighting.is_by_construction));
            // The class token is in no frame that could be marked.
            let step = if rollout == Rollout::Class { sizes[0] } else { looked.patch.step };
            assert_eq!(looked.track.query_step, step);
        }
    }
}

#[test]
fn rollouts_that_mean_nothing_are_refused() {
    let refused = |checkpoint: &Checkpoint, known: &Overrides, options: AttendOptions| {
        let config = Config::of(checkpoint, known).expect("says everything");
        PointedPatch::find(&shipped("clips/ball.mp4"), &config, options, |_, _| Ok(())).expect_err("refused")
    };
    let rollout = AttendOptions { rollout: Some(Rollout::Patch), ..AT };
    let motionformer = Checkpoint::open(&shipped("models/patches_2d.pyth")).expect("shipped");
    for (checkpoint, crop, given) in [
        (open("swin"), Some(48), "Swin: attention within shifted windows"),
        (open("video_swin"), Some(40), "Video Swin: attention within shifted windows"),
        (motionformer, None, "Motionformer: trajectory attention, values projected"),
    ] {
        let error = refused(&checkpoint, &Overrides { crop, ..Overrides::default() }, rollout).to_string();
        assert!(error.contains(given) && error.contains("joint or divided attention among the same tokens"), "{error}");
    }
    let class = AttendOptions { rollout: Some(Rollout::Class), ..AT };
    let error = refused(&open("videomae_mean_pooling"), &Overrides::default(), class).to_string();
    assert_eq!(error, "rollout: \"class\" is not valid; expected patch, as the network has no class token");
    assert_eq!(refused(&open("vjepa2"), &Overrides::default(), class).to_string(), error);
    let head = AttendOptions { head: Some(1), ..rollout };
    assert!(matches!(refused(&open("vivit"), &Overrides::default(), head), Error::Argument { what: "head", .. }));
    let block = AttendOptions { block: Some(2), ..rollout };
    assert!(matches!(
        refused(&open("vivit"), &Overrides::default(), block),
        Error::OutOfRange { what: "layer", index: 2, count: 2 }
    ));
}

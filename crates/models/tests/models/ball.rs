//! The network that ships: its answers, against an independent implementation and against the reference.

use image::RgbImage;
use orthoformer::ops::Approximation;
use orthoformer_models::{Model, Placed, ball};
use orthoformer_video::ball_motion::{FRAMES, Motion, MotionClip, SIDE};
use safetensors::SafeTensors;
use support::engine;

/// Rendered clips.
const CLIPS: u64 = 64;
/// Clips that go through the network together.
const BATCH: usize = 8;
/// Weights are rounded to float16, those of the expected logits are not.
const TOLERANCE: f32 = 5e-2;

fn network(placed: Placed<'_>) -> Model<'_> {
    ball::model(placed, Approximation::Exact).expect("what ships is sound")
}

/// The logits of every clip.
fn answers(network: &Model<'_>, clips: &[&[RgbImage]]) -> Vec<Vec<f32>> {
    let of_batch = |batch: &[&[RgbImage]]| {
        let clips = network.config().clips(batch).expect("clips as the network takes them");
        let logits = network.forward(&clips).expect("runs").remove(0);
        assert_eq!(logits.shape(), [batch.len(), Motion::ALL.len()]);
        logits.data().chunks(Motion::ALL.len()).map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    clips.chunks(BATCH).flat_map(of_batch).collect()
}

fn likeliest(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("classes")
}

/// Clips and logits that the network was published with, as `(frames, class, logits)`.
fn published() -> Vec<(Vec<RgbImage>, usize, Vec<f32>)> {
    let path = support::shipped("ball/clips2.safetensors");
    let bytes = std::fs::read(path).expect("shipped");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let data = |name: &str| file.tensor(name).expect("there").data();
    let labels: Vec<i32> = bytemuck::pod_collect_to_vec(data("labels"));
    let logits: Vec<f32> = bytemuck::pod_collect_to_vec(data("expected.logits0"));
    let area = (SIDE * SIDE * 3) as usize;
    let clips = data("video").chunks(FRAMES * area).zip(labels).zip(logits.chunks(Motion::ALL.len()));
    let frame = |bytes: &[u8]| RgbImage::from_raw(SIDE, SIDE, bytes.to_vec()).expect("a frame's bytes");
    clips.map(|((clip, label), logits)| (clip.chunks(area).map(frame).collect(), label as usize, logits.to_vec())).collect()
}

#[test]
fn classes_have_their_names() {
    let labels = ball::labels().expect("what ships is sound");
    assert_eq!(labels, Motion::ALL.map(|motion| format!("{motion:?}").to_lowercase()));
}

#[test]
fn published_clips_get_their_published_logits() {
    let published = published();
    assert_eq!(published.len(), 2);
    let clips: Vec<&[RgbImage]> = published.iter().map(|(frames, ..)| frames.as_slice()).collect();
    for placed in [Placed::Gpu(engine()), Placed::Reference] {
        for (found, (_, class, expected)) in answers(&network(placed), &clips).iter().zip(&published) {
            let worst = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
            assert!(worst < TOLERANCE, "{placed:?}: {worst} off, {found:?} for {expected:?}");
            assert_eq!(likeliest(found), *class);
        }
    }
}

#[test]
fn rendered_clips_are_mostly_named_right_and_alike_on_gpu_and_reference() {
    let clips: Vec<MotionClip> = (0..CLIPS).map(MotionClip::render).collect();
    let frames: Vec<&[RgbImage]> = clips.iter().map(|clip| clip.frames.as_slice()).collect();
    let (former, latter) = frames.split_at(frames.len() / 2);
    let in_reference = |frames: &[&[RgbImage]]| answers(&network(Placed::Reference), frames);
    let expected = std::thread::scope(|scope| {
        let other = scope.spawn(|| in_reference(latter));
        [in_reference(former), other.join().expect("no panic")].concat()
    });
    let found = answers(&network(Placed::Gpu(engine())), &frames);
    let mut right = 0;
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(likeliest(found), likeliest(expected), "clip {number}: {found:?} for {expected:?}");
        right += usize::from(likeliest(found) == clips[number].class);
    }
    println!("{right} of {CLIPS} right");
    assert!(right as f64 >= 0.8 * CLIPS as f64, "{right} of {CLIPS} right");
}

#[test]
fn clips_of_other_lengths_are_refused() {
    let clip = MotionClip::render(5);
    assert_eq!((clip.class, clip.frames.len(), clip.frames[0].dimensions()), (5, FRAMES, (SIDE, SIDE)));
    let network = network(Placed::Reference);
    let error = network.config().clips(&[&clip.frames[1..]]).expect_err("too short").to_string();
    assert!(error.contains("16 frames"), "{error}");
}

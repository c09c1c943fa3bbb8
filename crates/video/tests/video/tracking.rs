//! Following things through clips whose truth is known.

use image::{Rgb, RgbImage};
use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{Engine, EngineOptions, RunOptions};
use orthoformer::ops::Approximation;
use orthoformer::ops::follow::{self, FollowSpec};
use orthoformer::{Error, PlanLimits, Tensor};
use orthoformer_cpu::Executor;
use orthoformer_video::ball::{BallClip, HEIGHT, WIDTH};
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{ScaledClip, Track, TrackOptions};
use support::{assert_agree, engine, random_inputs};

fn gpu() -> Executor {
    Executor::Gpu(Box::new(Engine::new(&EngineOptions::default()).expect("the tests need an adapter (lavapipe will do)")))
}

fn scaled(frames: &[RgbImage], depth: u32) -> ScaledClip {
    let (width, height) = frames[0].dimensions();
    let grid = Grid::new(width, height, 224, 16, depth).expect("small");
    ScaledClip::new(grid, frames.iter().map(|frame| grid.scale(frame)).collect()).expect("scaled")
}

/// Largest distance between the attention centroid and the ball's centre over all frames, in patches.
fn worst_distance(ball: &BallClip, track: &Track) -> f64 {
    let (width, height) = track.grid.patch_size();
    let distance = |(frame, (x, y)): (usize, &(f64, f64))| {
        let (found_x, found_y) = track.sightings[frame / track.grid.depth as usize].centroid;
        (found_x - x).hypot(found_y - y) / width.min(height)
    };
    ball.centres.iter().enumerate().map(distance).fold(0.0, f64::max)
}

#[test]
fn the_ball_is_followed_within_a_patch() {
    let executor = gpu();
    for seed in 0..4 {
        let ball = BallClip::render(seed, 32);
        assert_eq!(ball.frames[0].dimensions(), (WIDTH, HEIGHT));
        let options = TrackOptions { at: Some(ball.centres[0]), ..TrackOptions::default() };
        let track = scaled(&ball.frames, 2).follow(&options, &executor).expect("follows");
        assert_eq!(track.sightings.len(), 16);
        let worst = worst_distance(&ball, &track);
        assert!(worst < 1.0, "seed {seed}: {worst:.2} patches off");
        // The measure has teeth: followed from the picture's corner instead, the ball is lost.
        let corner = TrackOptions { at: Some((3.0, 3.0)), ..options };
        let lost = scaled(&ball.frames, 2).follow(&corner, &executor).expect("follows");
        assert!(worst_distance(&ball, &lost) > 1.0, "seed {seed}");
    }
}

#[test]
fn gpu_and_reference_follow_alike() {
    let ball = BallClip::render(9, 5);
    let options = TrackOptions { at: Some(ball.centres[4]), frame: 4, ..TrackOptions::default() };
    let clip = scaled(&ball.frames, 2);
    let follow = |executor: &Executor| clip.follow(&options, executor).expect("follows");
    let (gpu, reference) = (follow(&gpu()), follow(&Executor::Reference));
    // Five frames are two and a half patches deep: the last frame is repeated.
    assert_eq!((gpu.sightings.len(), gpu.query_step), (3, 2));
    for (a, b) in gpu.sightings.iter().zip(&reference.sightings) {
        assert_eq!(a.peak, b.peak);
        for (a, b) in [(a.centroid.0, b.centroid.0), (a.centroid.1, b.centroid.1), (a.entropy, b.entropy)] {
            assert!((a - b).abs() < 1e-2, "{a} {b}");
        }
    }
}

#[test]
fn attention_rows_are_softmaxes_and_tokens_are_what_they_weigh() {
    for (queries, frames, patches, head_size, value_size) in
        [(1, 1, 1, 1, 1), (1, 3, 65, 96, 1536), (3, 2, 64, 48, 65), (2, 5, 7, 128, 63), (1, 2, 130, 12, 200)]
    {
        let spec = FollowSpec { queries, frames, patches, head_size, value_size, scale: 20.0 };
        let plan = follow::attention(&spec, &Approximation::Exact, PlanLimits::default()).expect("small");
        assert_agree(&format!("{spec:?}"), &plan, &random_inputs(&plan, 11), Tolerance::OPERATION);
        let plan = follow::plan(&spec, &Approximation::Exact, PlanLimits::default()).expect("small");
        let mut inputs = random_inputs(&plan, 12);
        assert_agree(&format!("{spec:?}"), &plan, &inputs, Tolerance::OPERATION);
        // With all values one, the tokens are the weights' sums.
        let ones = inputs["values"].shape().to_vec();
        let count = ones.iter().product();
        inputs.insert("values".to_owned(), Tensor::new(ones, vec![1.0; count]).expect("the same shape"));
        let run = engine().run(&plan, &inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("runs");
        let ones = Tensor::new(vec![queries, frames, value_size], vec![1.0; queries * frames * value_size]).expect("fits");
        assert!(compare(&run.outputs["tokens"], &ones, Tolerance::LAYER).passed());
    }
}

#[test]
fn values_beyond_a_binding_come_in_several_inputs() {
    let spec = FollowSpec { queries: 2, frames: 5, patches: 12, head_size: 8, value_size: 100, scale: 3.0 };
    let limits = PlanLimits { binding_bytes: 512 + 2 * 4 * 12 * 100, ..PlanLimits::default() };
    let inputs = follow::value_inputs(&spec, &limits).expect("fits");
    assert_eq!(inputs.iter().map(|input| input.frames.clone()).collect::<Vec<_>>(), [0..2, 2..4, 4..5]);
    assert_eq!(inputs[1].name, "values.1");
    let plan = follow::plan(&spec, &Approximation::Exact, limits).expect("fits");
    assert_agree("values in three inputs", &plan, &random_inputs(&plan, 13), Tolerance::OPERATION);
}

#[test]
fn followings_that_make_no_sense_are_refused() {
    let clip = scaled(&[RgbImage::from_pixel(64, 48, Rgb([90, 120, 40]))], 1);
    let follow = |options: TrackOptions| clip.follow(&options, &Executor::Reference).expect_err("must be refused");
    let options = TrackOptions::default();
    let outside = follow(TrackOptions { at: Some((64.0, 3.0)), ..options });
    assert_eq!(outside.to_string(), "point 64,3 is outside the picture, which is 64 x 48 pixels");
    let late = follow(TrackOptions { frame: 1, ..options });
    assert_eq!(late.to_string(), "frame 1 is out of range; it must be below 1");
    for temperature in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(matches!(follow(TrackOptions { temperature, ..options }), Error::Argument { what: "temperature", .. }));
    }
    let spec = FollowSpec { queries: 1, frames: 1, patches: 1, head_size: 257, value_size: 1, scale: 1.0 };
    let refused =
        |spec: FollowSpec| follow::attention(&spec, &Approximation::Exact, PlanLimits::default()).expect_err("must be refused");
    assert!(matches!(refused(spec), Error::TooLarge { what: "head size", given: 257, .. }));
    assert!(matches!(refused(FollowSpec { frames: 0, ..spec }), Error::ZeroSize { what: "frames" }));
    let huge = FollowSpec { frames: usize::MAX, head_size: 64, ..spec };
    assert!(matches!(refused(huge), Error::SizeOverflow { .. } | Error::BindingTooLarge { .. }));
}

#[test]
fn a_picture_without_contrast_spreads_attention_evenly() {
    let clip = scaled(&vec![RgbImage::from_pixel(96, 64, Rgb([90, 120, 40])); 2], 2);
    let track = clip.follow(&TrackOptions::default(), &Executor::Reference).expect("follows");
    let patches = track.grid.patches() as f64;
    assert!((track.sightings[0].entropy - patches.ln()).abs() < 1e-3);
}

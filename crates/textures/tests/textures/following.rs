//! All of it: a point of a moving picture, followed.

use std::time::{Duration, Instant};

use orthoformer::gpu::RunOptions;
use orthoformer::ops::approximation::{Approximation, Candidates, Prototypes, Selection};
use orthoformer::ops::follow::{self, FollowSpec};
use orthoformer::wgpu::{Features, PollType, TextureFormat, TextureUsages};
use orthoformer::{PlanLimits, Tensor, Tensors};
use orthoformer_textures::{Overlay, OverlayOptions, attention_overlay};
use orthoformer_video::ball::{BallClip, HEIGHT, WIDTH};
use orthoformer_video::patches::{Grid, mean_colour};
use orthoformer_video::track::Sighting;

use crate::host::Host;

/// The attention of the plan over these moments, of keys that the host made.
fn expected(host: &Host, grid: &Grid, moments: &[Vec<&image::RgbImage>], query: &[f32], mean: [f32; 3], scale: f32) -> Vec<f32> {
    let (patches, head_size) = (grid.patches(), grid.descriptor_size());
    let spec = FollowSpec { queries: 1, frames: moments.len(), patches, head_size, value_size: 1, scale };
    let plan = follow::attention(&spec, &Approximation::Exact, PlanLimits::default()).expect("small");
    let keys: Vec<f32> = moments.iter().flat_map(|frames| grid.describe(frames, mean)).collect();
    let inputs = Tensors::from([
        ("query".to_owned(), Tensor::new(vec![1, head_size], query.to_vec()).expect("fits")),
        ("keys".to_owned(), Tensor::new(vec![moments.len(), patches, head_size], keys).expect("fits")),
    ]);
    let run = host.engine.run(&plan, &inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("runs");
    run.outputs["attention"].data().to_vec()
}

#[test]
fn an_overlay_is_the_plan_over_the_last_frames() {
    let host = Host::new();
    for (depth, moments) in [(1, 3), (2, 2)] {
        // Frames are scaled to themselves, so that keys are the host's to rounding.
        let options = OverlayOptions { size: HEIGHT, side: 16, depth, moments, ..OverlayOptions::default() };
        let ball = BallClip::render(5, 5 * depth as usize);
        let uploaded: Vec<_> = ball.frames.iter().map(|frame| host.upload(frame, TextureFormat::Rgba8Unorm)).collect();
        let point = ball.centres[0];
        let made = Overlay::new(&host.engine, uploaded[0].clone(), point, &options);
        let mut overlay = pollster::block_on(made).expect("compiles");
        let grid = *overlay.grid();
        let all: Vec<Vec<&image::RgbImage>> = ball.frames.chunks(depth as usize).map(|frames| frames.iter().collect()).collect();
        let mean = mean_colour(&ball.frames[..depth as usize]);
        let size = grid.descriptor_size();
        let query = grid.describe(&all[0], mean)[grid.patch_at(point.0, point.1) * size..][..size].to_vec();
        for (number, picture) in uploaded.iter().enumerate() {
            let mut encoder = host.encoder();
            overlay.follow_picture(&host.engine, &mut encoder, picture).expect("records");
            host.submit(encoder);
            let arrived = (number + 1) / depth as usize;
            let order: Vec<usize> = overlay.order().collect();
            assert_eq!(order.len(), arrived.min(moments));
            if arrived == 0 || !(number + 1).is_multiple_of(depth as usize) {
                continue;
            }
            let found = host.floats(overlay.attention().buffer());
            let window = &all[arrived - order.len()..arrived];
            let expected = expected(&host, &grid, window, &query, mean, 1.0 / options.temperature);
            for (&slot, expected) in order.iter().zip(expected.chunks(grid.patches())) {
                let found = &found[slot * grid.patches()..][..grid.patches()];
                let away = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(away < 1e-3 && found.iter().all(|weight| weight.is_finite()), "depth {depth}, {number}: {away}");
            }
        }
    }
    host.assert_silent();
}

#[test]
fn the_ball_is_followed_and_the_heat_is_where_it_is() {
    let host = Host::new();
    let ball = BallClip::render(1, 20);
    let texture = host.texture((WIDTH, HEIGHT), TextureFormat::Rgba8Unorm, TextureUsages::TEXTURE_BINDING);
    let screen = host.texture((WIDTH / 2, HEIGHT / 2), TextureFormat::Rgba8Unorm, TextureUsages::RENDER_ATTACHMENT);
    let (view, target) = (texture.create_view(&Default::default()), screen.create_view(&Default::default()));
    let mut overlay = attention_overlay(&host.engine, &view, ball.centres[0]).expect("compiles");
    // Nothing is drawn before anything is followed.
    let mut encoder = host.encoder();
    overlay.draw(&host.engine, &mut encoder, &target).expect("records nothing");
    host.submit(encoder);
    assert!(host.pixels(&screen).iter().all(|pixel| *pixel == [0; 4]));
    for (frame, centre) in ball.frames.iter().zip(&ball.centres) {
        let bytes: Vec<u8> = frame.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2], 255]).collect();
        let layout = orthoformer::wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * WIDTH), rows_per_image: None };
        host.queue.write_texture(texture.as_image_copy(), &bytes, layout, texture.size());
        let black = vec![0; (WIDTH * HEIGHT) as usize];
        let layout = orthoformer::wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(2 * WIDTH), rows_per_image: None };
        host.queue.write_texture(screen.as_image_copy(), &black, layout, screen.size());
        let mut encoder = host.encoder();
        overlay.follow(&host.engine, &mut encoder).expect("records");
        overlay.draw(&host.engine, &mut encoder, &target).expect("records");
        host.submit(encoder);
        let slot = overlay.order().last().expect("one");
        let grid = *overlay.grid();
        let weights = &host.floats(overlay.attention().buffer())[slot * grid.patches()..][..grid.patches()];
        let sighting = Sighting::new(&grid, weights, &[]);
        let patch = grid.patch_size().0;
        let away = (sighting.centroid.0 - centre.0).hypot(sighting.centroid.1 - centre.1) / patch;
        assert!(away < 1.0, "{away} patches off");
        // The hottest pixel of the screen, which is half as large.
        let heat = |pixel: &[u8; 4]| u32::from(pixel[0]) + u32::from(pixel[1]);
        let pixels = host.pixels(&screen);
        let (hottest, _) = pixels.iter().enumerate().max_by_key(|(_, pixel)| heat(pixel)).expect("pixels");
        let (x, y) = (hottest as u32 % (WIDTH / 2) * 2, hottest as u32 / (WIDTH / 2) * 2);
        let away = (f64::from(x) - centre.0).hypot(f64::from(y) - centre.1) / patch;
        assert!(away < 2.0, "the heat is {away} patches off");
    }
    host.assert_silent();
}

#[test]
fn temperature_and_approximation_change_from_frame_to_frame() {
    let host = Host::new();
    let ball = BallClip::render(2, 4);
    let uploaded: Vec<_> = ball.frames.iter().map(|frame| host.upload(frame, TextureFormat::Rgba8Unorm)).collect();
    let mut options = OverlayOptions { moments: 2, ..OverlayOptions::default() };
    let made = Overlay::new(&host.engine, uploaded[0].clone(), ball.centres[0], &options);
    let mut overlay = pollster::block_on(made).expect("compiles");
    let mut peaks = Vec::new();
    for (picture, temperature) in uploaded.iter().zip([0.03, 0.5, 0.5, 0.03]) {
        options.temperature = temperature;
        overlay.set_options(&host.engine, &options).expect("the same sizes");
        let mut encoder = host.encoder();
        overlay.follow_picture(&host.engine, &mut encoder, picture).expect("records");
        host.submit(encoder);
        let (slot, patches) = (overlay.order().last().expect("one"), overlay.grid().patches());
        let weights = host.floats(overlay.attention().buffer())[slot * patches..][..patches].to_vec();
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        peaks.push(weights.into_iter().fold(0.0, f32::max));
    }
    assert!(peaks[0] > 2.0 * peaks[1] && peaks[3] > 2.0 * peaks[2], "{peaks:?}");
    for wrong in [OverlayOptions { moments: 3, ..options.clone() }, OverlayOptions { temperature: 0.0, ..options.clone() }] {
        overlay.set_options(&host.engine, &wrong).expect_err("refused");
    }
    host.assert_silent();
}

#[test]
fn an_overlay_within_budgets_shows_whole_moments() {
    let host = Host::new();
    let ball = BallClip::render(3, 6);
    let uploaded: Vec<_> = ball.frames.iter().map(|frame| host.upload(frame, TextureFormat::Rgba8Unorm)).collect();
    // Of exact attention to one frame there is nothing to spread: it is one workgroup.
    let selection = Selection::Random { seed: 1 };
    let prototypes = Prototypes { count: 16, candidates: Candidates::QueriesAndKeys, selection, per_frame: false };
    let options =
        OverlayOptions { moments: 2, approximation: Approximation::Orthoformer(prototypes), ..OverlayOptions::default() };
    let make = || {
        let made = Overlay::new(&host.engine, uploaded[0].clone(), ball.centres[0], &options);
        pollster::block_on(made).expect("compiles")
    };
    let (mut whole, mut spread) = (make(), make());
    let map = |overlay: &Overlay| {
        let canvas = host.texture((64, 48), TextureFormat::Rgba8Unorm, TextureUsages::STORAGE_BINDING);
        let mut encoder = host.encoder();
        let view = canvas.create_view(&Default::default());
        overlay.record_map(&host.engine, &mut encoder, &view).expect("records");
        host.submit(encoder);
        host.pixels(&canvas)
    };
    // What each frame shows if it is followed in one go; before the first there is nothing.
    let mut known = vec![map(&whole)];
    for picture in &uploaded {
        let mut encoder = host.encoder();
        whole.follow_picture(&host.engine, &mut encoder, picture).expect("records");
        host.submit(encoder);
        known.push(map(&whole));
    }
    let mut calls = 0;
    for moment in 1..known.len() {
        let mut shown = known[moment - 1].clone();
        while shown == known[moment - 1] {
            let mut encoder = host.encoder();
            spread.follow_within(&host.engine, &mut encoder, &uploaded[moment - 1], Duration::ZERO).expect("records");
            host.submit(encoder);
            shown = map(&spread);
            calls += 1;
            assert!(calls < 2000, "it ends");
        }
        assert!(shown == known[moment], "moment {moment}, after {calls} calls");
    }
    assert!(calls > 2 * uploaded.len(), "{calls} calls: plans are spread over frames");
    // What is unfinished is finished first in one go.
    let mut encoder = host.encoder();
    spread.follow_within(&host.engine, &mut encoder, &uploaded[0], Duration::ZERO).expect("records");
    spread.follow_picture(&host.engine, &mut encoder, &uploaded[1]).expect("records");
    host.submit(encoder);
    let mut encoder = host.encoder();
    (0..2).for_each(|at| whole.follow_picture(&host.engine, &mut encoder, &uploaded[at]).expect("records"));
    host.submit(encoder);
    assert!(map(&spread) == map(&whole));
    host.assert_silent();
}

#[test]
#[ignore = "judges times: needs a quiet machine"]
fn frames_of_an_overlay_keep_to_a_budget_of_8_ms() {
    let budget = Duration::from_millis(8);
    let host = Host::with(Features::TIMESTAMP_QUERY | Features::SUBGROUP);
    let ball = BallClip::render(1, 20);
    let uploaded: Vec<_> = ball.frames.iter().map(|frame| host.upload(frame, TextureFormat::Rgba8Unorm)).collect();
    let screen = host.texture((WIDTH, HEIGHT), TextureFormat::Rgba8Unorm, TextureUsages::RENDER_ATTACHMENT);
    let target = screen.create_view(&Default::default());
    let selection = Selection::Random { seed: 0 };
    let prototypes = Prototypes { count: 64, candidates: Candidates::QueriesAndKeys, selection, per_frame: false };
    for approximation in [Approximation::Exact, Approximation::Orthoformer(prototypes)] {
        let options = OverlayOptions { approximation, ..OverlayOptions::default() };
        let made = Overlay::new(&host.engine, uploaded[0].clone(), ball.centres[0], &options);
        let mut overlay = pollster::block_on(made).expect("compiles");
        let (mut times, mut moments) = (Vec::new(), 0);
        for picture in uploaded.iter().cycle().take(300) {
            let start = Instant::now();
            let mut encoder = host.encoder();
            overlay.follow_within(&host.engine, &mut encoder, picture, budget).expect("records");
            overlay.draw(&host.engine, &mut encoder, &target).expect("records");
            host.submit(encoder);
            host.device.poll(PollType::wait_indefinitely()).expect("polls");
            times.push(start.elapsed());
            moments += u32::from(!overlay.is_unfinished());
        }
        times.sort_unstable();
        let [median, most, longest] = [times[150], times[284], times[299]];
        let name = options.approximation.name();
        println!("{name}: median {median:.2?}, 95 % within {most:.2?}, longest {longest:.2?}, {moments} moments");
        assert!(most <= budget.mul_f64(1.5) && moments > 3, "{name}: {most:?}, {moments} moments");
    }
    host.assert_silent();
}

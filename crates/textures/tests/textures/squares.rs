//! Pictures in, to the inputs of networks.

use orthoformer::wgpu::TextureFormat;
use orthoformer_textures::SquareInput;
use orthoformer_video::views::{Crop, Filter, Framing, Normalisation, Resize};

use crate::host::{Host, picture};

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

#[test]
fn other_filters_are_refused() {
    let host = Host::new();
    let frame = host.upload(&picture(40, 30, 1), TextureFormat::Rgba8Unorm);
    let normalisation = Normalisation::new(MEAN, STD, false).expect("finite");
    let made = |filter| {
        let framing = Framing { filter, ..16.into() };
        SquareInput::new(&host.engine, &frame, framing, Crop::Centre, &normalisation, 1).map(drop)
    };
    assert!(made(Filter::Interpolated).is_ok());
    for filter in [Filter::Nearest, Filter::Bicubic] {
        let refused = made(filter).expect_err("shaders interpolate alone").to_string();
        assert!(refused.contains(&format!("{filter:?}")) && refused.contains("Interpolated"), "{refused}");
    }
}

#[test]
fn squares_are_those_of_the_host() {
    let host = Host::new();
    let short = |size: u32, side| Framing { resize: Resize::ShortSide(side), ..size.into() };
    let sides = |size: u32, width, height| Framing { resize: Resize::Sides { width, height }, ..size.into() };
    for (width, height, framing, crop, reversed) in [
        (320, 240, Framing::from(112), Crop::Centre, false),
        (90, 160, Framing::from(33), Crop::End, true),
        (60, 50, short(64, 72), Crop::Start, false),
        (123, 77, sides(40, 41, 90), Crop::Centre, false),
    ] {
        let normalisation = Normalisation::new(MEAN, STD, reversed).expect("finite");
        let area = (framing.size * framing.size) as usize;
        for format in [TextureFormat::Rgba8Unorm, TextureFormat::Bgra8UnormSrgb, TextureFormat::Rgba16Float] {
            let clip = host.poisoned(3 * 3 * area);
            let frames = [5, 6].map(|seed| picture(width, height, seed));
            let uploaded = frames.each_ref().map(|frame| host.upload(frame, format));
            let square = SquareInput::new(&host.engine, &uploaded[0], framing, crop, &normalisation, 3).expect("compiles");
            let mut encoder = host.encoder();
            for (picture, at) in uploaded.iter().zip([2, 0]) {
                square.record(&host.engine, &mut encoder, picture, clip.slice(..), at).expect("records");
            }
            host.submit(encoder);
            let found = host.floats(&clip);
            let plane = |channel: usize, frame: usize| &found[(channel * 3 + frame) * area..][..area];
            for (frame, at) in frames.iter().zip([2, 0]) {
                let expected = normalisation.crop(frame, framing, crop).expect("fits");
                let other = normalisation.crop(&picture(width, height, 9), framing, crop).expect("fits");
                let away = |tensor: &orthoformer::Tensor| {
                    let pairs =
                        (0..3).flat_map(|channel| plane(channel, at).iter().zip(&tensor.data()[channel * area..][..area]));
                    pairs
                        .map(|(a, b)| (a - b).abs())
                        .fold(0.0, |most: f32, x| if x.is_nan() { f32::INFINITY } else { most.max(x) })
                };
                assert!(away(&expected) < 1e-5, "{format:?} {framing:?} {crop:?}: {}", away(&expected));
                assert!(away(&other) > 0.1, "the measure has teeth");
            }
            assert!(
                (0..3).all(|channel| plane(channel, 1).iter().all(|value| value.is_nan())),
                "the frame between is left alone"
            );
        }
    }
    host.assert_silent();
}

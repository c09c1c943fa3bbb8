//! What does not fit is refused with what would, and nothing reaches the host's handlers.

use orthoformer::wgpu::{TextureFormat, TextureUsages, TextureViewDescriptor};
use orthoformer::{Error, Result};
use orthoformer_textures::{Describer, Heat, Picture, Scaler, SquareInput, YuvColours, YuvMatrix, attention_overlay};
use orthoformer_video::patches::Grid;
use orthoformer_video::views::{Crop, Normalisation};

use crate::host::{Host, picture};

fn refused<T>(what: &str, outcome: Result<T>) {
    let error = outcome.err().unwrap_or_else(|| panic!("{what:?} must be refused"));
    assert!(error.to_string().contains(what), "{what:?}: {error}");
}

#[test]
fn pictures_that_shaders_cannot_load_are_refused() {
    let host = Host::new();
    let engine = &host.engine;
    let grid = Grid::new(64, 48, 48, 16, 1).expect("small");
    let good = host.upload(&picture(64, 48, 0), TextureFormat::Rgba8Unorm);
    let view = |format, usage| host.texture((64, 48), format, usage).create_view(&TextureViewDescriptor::default());
    let bound = TextureUsages::TEXTURE_BINDING;
    refused("one of the formats", Scaler::new(engine, &Picture::from(&view(TextureFormat::R8Unorm, bound)), &grid));
    refused(
        "TEXTURE_BINDING",
        Scaler::new(engine, &Picture::from(&view(TextureFormat::Rgba8Unorm, TextureUsages::empty())), &grid),
    );
    refused("64 x 48 pixels", Scaler::new(engine, &host.upload(&picture(64, 32, 0), TextureFormat::Rgba8Unorm), &grid));
    let colours = YuvColours { matrix: YuvMatrix::Bt709, is_full: false };
    let planes =
        Picture::Nv12 { luma: view(TextureFormat::R8Unorm, bound), chroma: view(TextureFormat::Rg8Unorm, bound), colours };
    refused("32 x 24", Scaler::new(engine, &planes, &grid));
    let scaler = Scaler::new(engine, &good, &grid).expect("compiles");
    let mut encoder = host.encoder();
    refused(
        "frame",
        scaler.record(engine, &mut encoder, &good, 1).map_err(|error| match error {
            Error::OutOfRange { index, count, .. } => Error::OutOfRange { what: "frame", index, count },
            other => other,
        }),
    );
    let linear = host.upload(&picture(64, 48, 0), TextureFormat::Rgba16Float);
    refused("as it was made for", scaler.record(engine, &mut encoder, &linear, 0));
    refused("outside the picture", attention_overlay(engine, good.clone(), (64.0, 3.0)));
    let normalisation = Normalisation::new([0.5; 3], [0.5; 3], false).expect("finite");
    let square = |frames| SquareInput::new(engine, &good, 32, Crop::Centre, &normalisation, frames);
    refused("frames is 0", square(0));
    refused("does not fit in 32 bits", square(1 << 30));
    let square = square(2).expect("compiles");
    refused("at least 24576", square.record(engine, &mut encoder, &good, host.poisoned(6143).slice(..), 0));
    refused("2 is out of range", square.record(engine, &mut encoder, &good, host.poisoned(6144).slice(..), 2));
    host.submit(encoder);
    host.assert_silent();
}

#[test]
fn rings_and_targets_that_do_not_fit_are_refused() {
    let host = Host::new();
    let engine = &host.engine;
    let grid = Grid::new(64, 48, 48, 16, 1).expect("small");
    let good = host.upload(&picture(64, 48, 0), TextureFormat::Rgba8Unorm);
    let scaler = Scaler::new(engine, &good, &grid).expect("compiles");
    let describer = Describer::new(engine, &grid, 2).expect("compiles");
    let mut encoder = host.encoder();
    let keys = host.poisoned(2 * 12 * 48);
    refused("at least 4608", describer.record(engine, &mut encoder, &scaler, keys.slice(..4604), 0));
    refused("2 is out of range", describer.record(engine, &mut encoder, &scaler, keys.slice(..), 2));
    refused("at least 73728", describer.record_patches(engine, &mut encoder, &scaler, keys.slice(..), 0));
    refused("moments is 0", Describer::new(engine, &grid, 0));
    let other = Describer::new(engine, &Grid::new(64, 48, 96, 16, 1).expect("small"), 1).expect("compiles");
    refused("128 x 96 pixels", other.record_mean(engine, &mut encoder, &scaler));
    let mut heat = Heat::new(engine, &grid, 2).expect("compiles");
    let attention = host.elements(&[0.1; 24]);
    let view = |format, usage| host.texture((8, 8), format, usage).create_view(&TextureViewDescriptor::default());
    let stored = view(TextureFormat::Rgba16Float, TextureUsages::STORAGE_BINDING);
    refused("Rgba8Unorm", heat.record_map(engine, &mut encoder, attention.slice(..), 0, &stored));
    let bound = view(TextureFormat::Rgba8Unorm, TextureUsages::TEXTURE_BINDING);
    refused("STORAGE_BINDING", heat.record_map(engine, &mut encoder, attention.slice(..), 0, &bound));
    refused("RENDER_ATTACHMENT", heat.draw(engine, &mut encoder, attention.slice(..), 0, &bound));
    let target = view(TextureFormat::Rgba8Unorm, TextureUsages::RENDER_ATTACHMENT);
    refused("2 is out of range", heat.draw(engine, &mut encoder, attention.slice(..), 2, &target));
    refused("at least 96", heat.draw(engine, &mut encoder, attention.slice(..92), 0, &target));
    refused("moments is 0", heat.record_strongest(engine, &mut encoder, attention.slice(..), 0));
    refused("2 is out of range", heat.record_strongest(engine, &mut encoder, attention.slice(..), 3));
    // The encoder is as good as new.
    heat.draw(engine, &mut encoder, attention.slice(..), 0, &target).expect("records");
    host.submit(encoder);
    host.assert_silent();
}

//! The crate inside a graphics application: in each frame, one encoder and one submit, the application draws a moving texture, the engine
//! computes what one of its patches attends to in the last four frames, and the application draws that over the texture.
//!
//! ```text
//! cargo run --release --package orthoformer-textures --example embed_render [FILE.png]                four frames, off-screen
//! cargo run --release --manifest-path examples/embed_render/Cargo.toml --features window     in a window
//! ```

#[cfg(not(feature = "window"))]
mod offscreen;
mod pipelines;
mod scene;
#[cfg(feature = "window")]
mod window;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[cfg(feature = "window")]
fn main() -> Result<()> {
    window::run()
}

#[cfg(not(feature = "window"))]
fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "embed_render.png".to_owned());
    let (device, queue) = offscreen::open()?;
    let frames = offscreen::frames(&device, &queue, &[0, 12, 24, 36])?;
    // One below the other.
    let [width, height] = scene::SIZE;
    image::save_buffer(&path, &frames.concat(), width, height * frames.len() as u32, image::ColorType::Rgba8)?;
    println!("{path}: four frames, and how much the patch under the disc's middle in the first one attends to each place");
    Ok(())
}

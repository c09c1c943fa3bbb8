// Heat into a storage texture: colour, and cover as alpha. An invocation a pixel.

@group(0) @binding(4) var canvas: texture_storage_2d<rgba8unorm, write>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = pixel_of(workgroup, lane);
    let size = textureDimensions(canvas);
    if (pixel.x >= size.x) {
        return;
    }
    let colour = heat_colour(heat_at((vec2<f32>(pixel) + 0.5) / vec2<f32>(size)));
    textureStore(canvas, vec2<i32>(pixel), colour);
}

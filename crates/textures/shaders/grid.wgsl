// Patches of scaled frames, as `Grid` of orthoformer-video has them, and the pixels of the frames.

struct Grid {
    // Of the scaled frames, pixels.
    width: u32,
    height: u32,
    // Of a patch: pixels, and frames.
    side: u32,
    depth: u32,
    // Patches in a row, and rows of them.
    columns: u32,
    rows: u32,
    // Edges of the first patch, pixels.
    left: i32,
    top: i32,
}

fn channels(pixel: u32) -> vec3<u32> {
    return vec3<u32>(pixel & 255u, (pixel >> 8u) & 255u, (pixel >> 16u) & 255u);
}

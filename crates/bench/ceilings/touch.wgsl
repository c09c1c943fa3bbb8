// One number read and written: what was moved to the buffer before is there by then.

@group(0) @binding(0) var<storage, read_write> moved: array<f32>;

@compute @workgroup_size(1)
fn main() {
    moved[0] = moved[0];
}

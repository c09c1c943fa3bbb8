// A picture in two planes, NV12: luma, and chroma of half its width and height. A chroma sample stands for four pixels.

@group(0) @binding(1) var luma: texture_2d<f32>;
@group(0) @binding(2) var chroma: texture_2d<f32>;

fn colour_at(column: u32, row: u32) -> vec3<f32> {
    let y = textureLoad(luma, vec2<i32>(i32(column), i32(row)), 0).r;
    let uv = textureLoad(chroma, vec2<i32>(i32(column / 2u), i32(row / 2u)), 0).rg;
    let yuv = vec4<f32>(max(y, p.source.black), uv, 1.0);
    return steps(vec3<f32>(dot(p.source.red, yuv), dot(p.source.green, yuv), dot(p.source.blue, yuv)));
}

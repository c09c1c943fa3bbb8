// The identity of max: the lowest finite float32, as WGSL has no literal for minus infinity. In hexadecimal, because browsers refuse a decimal
// that is out of range before it is rounded.
const LOWEST: f32 = -0x1.fffffep+127f;

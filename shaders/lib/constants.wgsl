// The identity of max: the lowest finite float32. WGSL has no literal for minus infinity.
const LOWEST: f32 = -3.40282347e38;

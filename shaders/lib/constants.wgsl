// The identity of max: the lowest finite float32, exactly, as a browser refuses decimals that are beyond it before they are rounded. WGSL has
// no literal for minus infinity.
const LOWEST: f32 = -0x1.fffffep+127f;

// Values and tokens of segmented attention as vectors; queries and keys are in lib/vectors.wgsl.

@group(0) @binding(3) var<storage, read> values: array<vec4<StoredValues>>;
@group(0) @binding(4) var<storage, read_write> tokens: array<vec4<StoredTokens>>;

// Nothing: what is left is the cost of a dispatch.

@compute @workgroup_size(64)
fn main() {}

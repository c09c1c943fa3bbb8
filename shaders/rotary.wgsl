// Rotary positions of tokens on a grid: along frames, rows and columns pairs of elements turn by the token's position there.
//
//   y[e]     = table[position, 0, i] x[e]     - table[position, 2, i] x[e + 1]       e = 2 (axis * pairs + i)
//   y[e + 1] = table[position, 1, i] x[e + 1] + table[position, 3, i] x[e]
//
// Elements beyond the three axes stay as they are. Cosines and sines come from the host: those of a device need be right to 2^-11
// only.
//
// Grid: an invocation an element of y, numbered ((b * tokens + t) * heads + h) * head_size + element, as packed tokens lie in memory; 64 a
// workgroup. Limits: no loops; no optional feature.
//! use grid

// Position of a token along an axis: frame, row or column.
fn position_of(token: u32, axis: u32) -> u32 {
    switch (axis) {
        case 0u: {
            return token / (p.rows * p.columns);
        }
        case 1u: {
            return token / p.columns % p.rows;
        }
        default: {
            return token % p.columns;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let element = number % p.head_size;
    let head = number / p.head_size % p.heads;
    let token = number / (p.head_size * p.heads) % p.tokens;
    let batch = number / (p.head_size * p.heads) / p.tokens;
    if (batch >= p.batch) {
        return;
    }
    let x_base = x_at(batch, head, token);
    let y_index = y_at(batch, head, token) + element;
    let own = f32(x[x_base + element]);
    let axis = element / (2u * p.pairs);
    if (axis >= 3u) {
        y[y_index] = StoredY(own);
        return;
    }
    let pair = element / 2u % p.pairs;
    let second = element % 2u;
    let other = f32(x[x_base + (element ^ 1u)]);
    let position = position_of(token, axis);
    let cosine = table[table_at(position, second) + pair];
    let sine = table[table_at(position, 2u + second) + pair];
    y[y_index] = StoredY(cosine * own + sine * select(-other, other, second == 1u));
}

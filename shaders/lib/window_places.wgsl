// The places of a window in workgroup memory, found once: their tokens, and what biases and masks depend on. Needs LANES (invocations) and
// PLACES (places of a window).
//! use windows

var<workgroup> place_tokens: array<u32, PLACES>;
// The place's number for biases, and in the lowest five bits its region.
var<workgroup> place_codes: array<u32, PLACES>;

fn coded(place: Place) -> u32 {
    return place.number * 32u + place.region;
}

// Each invocation finds a run of places. All have to call.
fn stage_places(work: Work, lane: u32) {
    let each = (PLACES + LANES - 1u) / LANES;
    for (var i = 0u; i < each; i++) {
        let place = lane * each + i;
        if (place < PLACES) {
            place_tokens[place] = token_of(work, place);
            place_codes[place] = coded(place_of(work, place));
        }
    }
    workgroupBarrier();
}

// Four queries of an invocation.
struct Asking {
    tokens: vec4<u32>,
    // Where the biases of no key begin in the table, and regions.
    biases: vec4<u32>,
    regions: vec4<u32>,
}

fn four_codes(place: u32) -> vec4<u32> {
    let at = min(vec4<u32>(place) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(PLACES - 1u));
    return vec4<u32>(place_codes[at.x], place_codes[at.y], place_codes[at.z], place_codes[at.w]);
}

fn asking(work: Work, place: u32) -> Asking {
    let at = min(vec4<u32>(place) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(PLACES - 1u));
    let codes = four_codes(place);
    let middle = table_number(p.table_frames * p.table_rows * p.table_columns - 1u);
    return Asking(
        vec4<u32>(place_tokens[at.x], place_tokens[at.y], place_tokens[at.z], place_tokens[at.w]),
        (codes / 32u + middle) * p.table.stride.x + p.table.offset + work.head,
        codes % 32u,
    );
}

// What is added to the scores of four queries with the key of this code: bias and mask.
fn bias_of(asking: Asking, code: u32) -> vec4<f32> {
    let at = asking.biases - code / 32u * p.table.stride.x;
    let biases = vec4<f32>(f32(table[at.x]), f32(table[at.y]), f32(table[at.z]), f32(table[at.w]));
    return biases + select(vec4<f32>(MASK), vec4<f32>(), asking.regions == vec4<u32>(code % 32u));
}

// The same for four keys: a column a key.
fn biases_of(asking: Asking, codes: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(bias_of(asking, codes.x), bias_of(asking, codes.y), bias_of(asking, codes.z), bias_of(asking, codes.w));
}

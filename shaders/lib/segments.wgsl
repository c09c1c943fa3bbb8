// Segmented attention as its variants share it: where the operands of a workgroup lie.
//
// Workgroups are numbered (((batch * groups + g) * heads + h) * segments + f) * row_tiles + tile, with ROWS rows in a tile.

// Which part of the work a workgroup has.
struct Work {
    batch: u32,
    head: u32,
    group: u32,
    segment: u32,
    first_row: u32,
}

fn work_of(number: u32) -> Work {
    let row_tiles = (p.rows + ROWS - 1u) / ROWS;
    let segment = number / row_tiles;
    let head = segment / p.segments;
    let group = head / p.heads;
    return Work(group / p.groups, head % p.heads, group % p.groups, segment % p.segments, (number % row_tiles) * ROWS);
}

fn query_start(work: Work, row: u32) -> u32 {
    return queries_at(work.batch, work.head, work.group, row);
}

fn token_start(work: Work, row: u32) -> u32 {
    return tokens_at(work.batch, work.head, work.group, row, work.segment);
}

// Keys of a segment, the extra one included.
fn all_keys() -> u32 {
    return p.key_count + p.extra_keys;
}

// Where a key (or its value) starts; the extra key comes before the segment's own.
fn key_start(work: Work, key: u32) -> u32 {
    if (key < p.extra_keys) {
        return keys_extra_at(work.batch, work.head);
    }
    return keys_at(work.batch, work.head, work.group, work.segment, key - p.extra_keys);
}

fn value_start(work: Work, key: u32) -> u32 {
    if (key < p.extra_keys) {
        return values_extra_at(work.batch, work.head);
    }
    return values_at(work.batch, work.head, work.group, work.segment, key - p.extra_keys);
}

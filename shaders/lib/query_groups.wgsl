// Attention weights of all queries as its versions share them: where the operands of a workgroup lie.
//
// Workgroups are numbered ((batch * groups + g) * heads + h) * row_tiles + tile, with ROWS rows in a tile.

// Which part of the work a workgroup has.
struct Work {
    batch: u32,
    head: u32,
    group: u32,
    first_row: u32,
}

fn work_of(number: u32) -> Work {
    let row_tiles = (p.rows + ROWS - 1u) / ROWS;
    let head = number / row_tiles;
    let group = head / p.heads;
    return Work(group / p.groups, head % p.heads, group % p.groups, (number % row_tiles) * ROWS);
}

fn query_start(work: Work, row: u32) -> u32 {
    return queries_at(work.batch, work.head, work.group, row);
}

fn key_start(work: Work, key: u32) -> u32 {
    return keys_at(work.batch, work.head, work.group, key);
}

fn weight_start(work: Work, row: u32) -> u32 {
    return weights_at(work.batch, work.head, work.group, row);
}

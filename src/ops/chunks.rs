//! Queries are cut into chunks, so that scratch memory does not grow with their number.

/// Queries that are computed together: `rows` consecutive ones in each of `frames` consecutive frames.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    pub first_row: u32,
    pub frames: u32,
    pub rows: u32,
}

impl Chunk {
    /// Queries in the chunk.
    pub fn count(&self) -> u32 {
        self.frames * self.rows
    }
}

/// Number of queries of a chunk when `fitting` of them fit: whole frames if possible.
pub(super) fn rows_of_chunk(fitting: u64, frames: u32, patches: u32) -> u32 {
    let fitting = fitting.clamp(1, u64::from(frames) * u64::from(patches)) as u32;
    if fitting >= patches { fitting / patches * patches } else { fitting }
}

/// Cuts the queries into whole frames if at least one fits into `rows`, else into parts of a frame.
pub(super) fn chunks(rows: u32, frames: u32, patches: u32) -> Vec<Chunk> {
    let whole_frames = rows / patches;
    if whole_frames > 0 {
        let first_frames = (0..frames).step_by(whole_frames as usize);
        let chunk = |first: u32| Chunk { first_row: first * patches, frames: whole_frames.min(frames - first), rows: patches };
        return first_frames.map(chunk).collect();
    }
    let starts = (0..frames).flat_map(|frame| (0..patches).step_by(rows as usize).map(move |patch| (frame, patch)));
    let chunk =
        |(frame, patch): (u32, u32)| Chunk { first_row: frame * patches + patch, frames: 1, rows: rows.min(patches - patch) };
    starts.map(chunk).collect()
}

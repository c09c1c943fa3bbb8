//! Global memory, and the way to it.

use orthoformer::Result;
use orthoformer::gpu::{Program, ProgramSpec};

use super::super::programs::{MEMORY_COPY, MEMORY_WRITE, TOUCH, memory_read, with_turns};
use super::{MOST_WORKGROUPS, Meter, Rate, WORKGROUP, all_are};

/// Vectors of four that an invocation takes of each buffer.
const MEMORY_TURNS: u32 = 16;
const VECTOR_BYTES: u64 = 16;
/// Bytes that are uploaded or read at a time.
const PIECE: u64 = 4 << 20;
/// Bytes that are moved between host and device at a time.
const TRANSFER_BYTES: u64 = 32 << 20;

impl<'e> Meter<'e> {
    /// GB/s of reading two buffers as large as a binding may be, in vectors of so many floats: together larger than caches.
    pub fn memory_read(&self, width: u32) -> Result<Vec<f64>> {
        let (workgroups, bytes) = self.memory();
        let turns = MEMORY_TURNS * 4 / width;
        let source = memory_read(width, turns);
        let sums = u64::from(workgroups * WORKGROUP) * 4;
        let buffers = [(bytes, false), (bytes, false), (sums, true)];
        let program = self.engine.program(&ProgramSpec { name: "memory_read", source: &source, buffers: &buffers })?;
        upload(&program, 0, bytes, 0.0)?;
        upload(&program, 1, bytes, 1.0)?;
        let runs = self.repeated(&program, workgroups)?;
        let (step, width) = (u64::from(workgroups * WORKGROUP), u64::from(width));
        let of_invocation = |id: usize| {
            let places = (0..u64::from(turns)).map(|turn| (turn * step + id as u64) * width / 4);
            places.map(|place| width as f32 * (2.0 * pattern(place) + 1.0)).sum()
        };
        all_are("memory_read", &program.read(2, 0, sums)?, of_invocation)?;
        Ok(runs.rates(f64::from(runs.count) * 2.0 * bytes as f64 / 1e9))
    }

    /// GB/s of writing two such buffers.
    pub fn memory_write(&self) -> Result<Vec<f64>> {
        let (workgroups, bytes) = self.memory();
        let source = with_turns(MEMORY_WRITE, MEMORY_TURNS);
        let buffers = [(bytes, true), (bytes, true)];
        let program = self.engine.program(&ProgramSpec { name: "memory_write", source: &source, buffers: &buffers })?;
        let runs = self.repeated(&program, workgroups)?;
        check_pattern("memory_write", &program, 0, bytes, 0.0)?;
        check_pattern("memory_write", &program, 1, bytes, 1.0)?;
        Ok(runs.rates(f64::from(runs.count) * 2.0 * bytes as f64 / 1e9))
    }

    /// GB/s of copying one such buffer to another, what is read and what is written together.
    pub fn memory_copy(&self) -> Result<Vec<f64>> {
        let (program, workgroups, bytes) = self.copying(1)?;
        let runs = self.repeated(&program, workgroups)?;
        check_pattern("memory_copy", &program, 1, bytes, 0.0)?;
        Ok(runs.rates(f64::from(runs.count) * 2.0 * bytes as f64 / 1e9))
    }

    /// The same of a quarter of the buffers, a copy at a time.
    pub fn steady_copies(self) -> Result<Rate<'e>> {
        let (program, workgroups, bytes) = self.copying(4)?;
        let rate = move || Ok(2.0 * bytes as f64 / 1e9 / self.clock.seconds(&program.time(workgroups, 1)?));
        rate()?;
        Ok(Box::new(rate))
    }

    /// A copy of this part of the largest buffer, its workgroups and its bytes.
    fn copying(self, part: u32) -> Result<(Program<'e>, u32, u64)> {
        let (workgroups, bytes) = self.memory();
        let all = workgroups.div_ceil(part);
        let (workgroups, bytes) = (all, bytes / u64::from(workgroups) * u64::from(all));
        let source = with_turns(MEMORY_COPY, MEMORY_TURNS);
        let buffers = [(bytes, false), (bytes, true)];
        let program = self.engine.program(&ProgramSpec { name: "memory_copy", source: &source, buffers: &buffers })?;
        upload(&program, 0, bytes, 0.0)?;
        Ok((program, workgroups, bytes))
    }

    /// Workgroups and bytes of one of the two buffers.
    fn memory(&self) -> (u32, u64) {
        let of_workgroup = u64::from(WORKGROUP * MEMORY_TURNS) * VECTOR_BYTES;
        let most = self.engine.adapter().limits.max_storage_buffer_binding_size;
        let workgroups = (most / of_workgroup).clamp(1, MOST_WORKGROUPS.into());
        (workgroups as u32, workgroups * of_workgroup)
    }

    /// GB/s of handing bytes to the device, on the host's clock, until it has them.
    pub fn upload(&self) -> Result<Vec<f64>> {
        let (program, data) = self.moving()?;
        self.host_rates(TRANSFER_BYTES as f64 / 1e9, || {
            program.write(0, 0, &data)?;
            // Waits for what was submitted before.
            program.time(1, 1).map(drop)
        })
        .and_then(|rates| all_are("upload", &program.read(0, 0, TRANSFER_BYTES)?, moved).map(|()| rates))
    }

    /// GB/s of reading bytes back from the device, on the host's clock.
    pub fn download(&self) -> Result<Vec<f64>> {
        let (program, data) = self.moving()?;
        program.write(0, 0, &data)?;
        self.host_rates(TRANSFER_BYTES as f64 / 1e9, || all_are("download", &program.read(0, 0, TRANSFER_BYTES)?, moved))
    }

    /// A buffer to move bytes to and from, and these bytes.
    fn moving(&self) -> Result<(Program<'e>, Vec<f32>)> {
        let program =
            self.engine.program(&ProgramSpec { name: "transfer", source: TOUCH, buffers: &[(TRANSFER_BYTES, true)] })?;
        Ok((program, (0..TRANSFER_BYTES as usize / 4).map(moved).collect()))
    }
}

/// The number at a place of what is moved.
fn moved(place: usize) -> f32 {
    (place % 8191) as f32
}

/// What the shaders write to the vector at a place.
fn pattern(place: u64) -> f32 {
    ((place ^ (place >> 6)) & 63) as f32
}

/// Fills a buffer with the pattern and a number more.
fn upload(program: &Program<'_>, binding: usize, bytes: u64, more: f32) -> Result<()> {
    for first in (0..bytes).step_by(PIECE as usize) {
        let places = first / VECTOR_BYTES..(first + PIECE).min(bytes) / VECTOR_BYTES;
        let piece: Vec<[f32; 4]> = places.map(|place| [pattern(place) + more; 4]).collect();
        program.write(binding, first, &piece)?;
    }
    Ok(())
}

/// Checks the beginning and the end of a buffer against the pattern and a number more.
fn check_pattern(what: &str, program: &Program<'_>, binding: usize, bytes: u64, more: f32) -> Result<()> {
    let piece = PIECE.min(bytes);
    for first in [0, bytes - piece] {
        let found = program.read(binding, first, piece)?;
        all_are(what, &found, |number| pattern(first / VECTOR_BYTES + number as u64 / 4) + more)?;
    }
    Ok(())
}

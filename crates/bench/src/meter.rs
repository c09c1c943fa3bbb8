//! The shaders behind the ceilings: how much each of them does, and whether it did.

use orthoformer::gpu::{Engine, MatrixUnit, Program, ProgramSpec, Timing};
use orthoformer::{Error, Result};

use super::clock::Clock;
use super::programs::{
    EMPTY, MATRIX_TURNS, MEMORY_COPY, MEMORY_READ, MEMORY_WRITE, MULTIPLY_ADD_TURNS, WORKGROUP_LOAD, cooperative_matrix,
    multiply_adds, with_turns,
};
use super::statistics::Summary;

/// Seconds that a run of a ceiling's shader should take: long against what a submission costs.
const LONG_ENOUGH: f64 = 0.02;
/// Runs of each; the best counts, since a ceiling is what is possible.
const RUNS: usize = 5;
const EMPTY_RUNS: usize = 51;
/// Most workgroups of one dispatch, and as many invocations as every workgroup has.
const MOST_WORKGROUPS: u32 = 65_535;
const WORKGROUP: u32 = 64;
/// Workgroups of the shaders whose workgroups each need memory of their own.
const MOST_MATRIX_WORKGROUPS: u32 = 8_192;
const MULTIPLY_ADDS: u32 = 4 * MULTIPLY_ADD_TURNS;
/// Sums that do not wait for each other, in `multiply_add.wgsl` and in `cooperative_matrix.wgsl`.
const SUMS: u32 = 8;
const MATRIX_SUMS: u32 = 4;
const WORKGROUP_TURNS: u32 = 512;
const WORKGROUP_LOADS: u32 = 8;
/// Vectors that an invocation takes of each buffer.
const MEMORY_TURNS: u32 = 16;
const VECTOR_BYTES: u64 = 16;
const EMPTY_DISPATCHES: u32 = 256;
const MOST_DISPATCHES: u32 = 1_024;
/// Bytes that are uploaded or read at a time.
const PIECE: u64 = 4 << 20;

/// The clock to take times by on this engine: tried on work that is long enough for either.
pub(super) fn find_clock(engine: &Engine) -> Result<Clock> {
    let Some((_, source)) = multiply_adds("f32").into_iter().next() else {
        return Ok(Clock::Wall("nothing to try it on".to_owned()));
    };
    let sums = u64::from(MOST_WORKGROUPS * WORKGROUP) * 4;
    let program =
        engine.program(&ProgramSpec { name: "multiply_add", source: &source, buffers: &[(512, false), (sums, true)] })?;
    let wall = Clock::Wall(String::new());
    let meter = Meter { engine, clock: &wall };
    let (workgroups, _) = meter.best(&program, MOST_WORKGROUPS)?;
    let timings = (0..RUNS).map(|_| program.time(workgroups, 1)).collect::<Result<Vec<_>>>()?;
    Ok(Clock::of(engine.has_timestamps(), &timings))
}

/// Measures on one engine, by one clock.
pub(super) struct Meter<'e> {
    pub engine: &'e Engine,
    pub clock: &'e Clock,
}

impl Meter<'_> {
    /// Grows a dispatch until it takes long enough: its workgroups, and the seconds of the best of some runs.
    fn best(&self, program: &Program<'_>, most: u32) -> Result<(u32, f64)> {
        self.best_run([WORKGROUP.min(most), most], |workgroups| program.time(workgroups, 1))
    }

    /// Repeats a dispatch until that takes long enough: the seconds of one of them in the best of some runs.
    fn best_of_many(&self, program: &Program<'_>, workgroups: u32) -> Result<f64> {
        let (dispatches, seconds) = self.best_run([1, MOST_DISPATCHES], |dispatches| program.time(workgroups, dispatches))?;
        Ok(seconds / f64::from(dispatches))
    }

    fn best_run(&self, [first, most]: [u32; 2], run: impl Fn(u32) -> Result<Timing>) -> Result<(u32, f64)> {
        let time = |count| Ok::<_, Error>(self.clock.seconds(&run(count)?));
        let mut count = first;
        time(count)?;
        while time(count)? < LONG_ENOUGH && count < most {
            count = count.saturating_mul(2).min(most);
        }
        let times = (0..RUNS).map(|_| time(count)).collect::<Result<Vec<_>>>()?;
        Ok((count, times.into_iter().fold(f64::INFINITY, f64::min)))
    }

    /// GFLOP/s of multiply-adds, of 32-bit or of 16-bit floats.
    pub fn multiply_add(&self, scalar: &str) -> Result<f64> {
        let mut best: f64 = 0.0;
        let sums_bytes = u64::from(MOST_WORKGROUPS * WORKGROUP) * 4;
        for (width, source) in multiply_adds(scalar) {
            let spec = ProgramSpec { name: "multiply_add", source: &source, buffers: &[(512, false), (sums_bytes, true)] };
            let program = self.engine.program(&spec)?;
            program.write(0, 0, &[1.0f32; 128])?;
            let (workgroups, seconds) = self.best(&program, MOST_WORKGROUPS)?;
            // Sum number s starts at s, counting from one.
            let expected = (1..=SUMS).map(|start| width * (start + MULTIPLY_ADDS)).sum::<u32>() as f32;
            let invocations = workgroups * WORKGROUP;
            all_are("multiply_add", &program.read(1, 0, u64::from(invocations) * 4)?, |_| expected)?;
            let operations = 2.0 * f64::from(invocations) * f64::from(SUMS * MULTIPLY_ADDS * width);
            best = best.max(operations / seconds / 1e9);
        }
        Ok(best)
    }

    /// GFLOP/s of the fastest matrix unit. Those that do not work are passed over as long as another does.
    pub fn cooperative_matrix(&self, units: &[MatrixUnit]) -> Result<f64> {
        let mut best: Option<f64> = None;
        let mut first_error = None;
        for unit in units {
            match self.matrix_unit(unit) {
                Ok(found) => best = Some(best.map_or(found, |best| best.max(found))),
                Err(error @ Error::DeviceLost { .. }) => return Err(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let none = || Error::Argument { what: "matrix units", given: "none".to_owned(), expected: "at least one".to_owned() };
        best.ok_or_else(|| first_error.unwrap_or_else(none))
    }

    fn matrix_unit(&self, unit: &MatrixUnit) -> Result<f64> {
        let numbers = u64::from(unit.side * unit.side);
        let bytes = |scalar: &str| if scalar == "f16" { 2 } else { 4 };
        let sums = u64::from(MOST_MATRIX_WORKGROUPS * MATRIX_SUMS) * numbers * bytes(unit.sums);
        let (input, zeros) = (numbers * bytes(unit.inputs), numbers * MATRIX_SUMS as u64 * bytes(unit.sums));
        let source = cooperative_matrix(unit);
        let buffers = [(input, false), (input, false), (zeros, false), (sums, true)];
        let program = self.engine.program(&ProgramSpec { name: "cooperative_matrix", source: &source, buffers: &buffers })?;
        for (binding, number) in [(0, 1.0), (1, 1.0 / unit.side as f32)] {
            match unit.inputs {
                "f16" => program.write(binding, 0, &vec![half::f16::from_f32(number); numbers as usize])?,
                _ => program.write(binding, 0, &vec![number; numbers as usize])?,
            }
        }
        let (workgroups, seconds) = self.best(&program, MOST_MATRIX_WORKGROUPS)?;
        let words = program.read(3, 0, u64::from(workgroups * MATRIX_SUMS) * numbers * bytes(unit.sums))?;
        let sums: Vec<f32> = match unit.sums {
            "f16" => bytemuck::cast_slice::<f32, half::f16>(&words).iter().map(|sum| sum.to_f32()).collect(),
            _ => words,
        };
        all_are("cooperative_matrix", &sums, |_| MATRIX_TURNS as f32)?;
        let operations = 2.0 * f64::from(workgroups * MATRIX_SUMS) * f64::from(MATRIX_TURNS) * f64::from(unit.side).powi(3);
        Ok(operations / seconds / 1e9)
    }

    /// GB/s of reading two buffers as large as a binding may be: together larger than caches.
    pub fn memory_read(&self) -> Result<f64> {
        let (workgroups, bytes) = self.memory();
        let source = with_turns(MEMORY_READ, MEMORY_TURNS);
        let sums = u64::from(workgroups * WORKGROUP) * 4;
        let buffers = [(bytes, false), (bytes, false), (sums, true)];
        let program = self.engine.program(&ProgramSpec { name: "memory_read", source: &source, buffers: &buffers })?;
        upload(&program, 0, bytes, 0.0)?;
        upload(&program, 1, bytes, 1.0)?;
        let seconds = self.best_of_many(&program, workgroups)?;
        let step = u64::from(workgroups * WORKGROUP);
        let of_invocation = |id: usize| {
            let turns = (0..u64::from(MEMORY_TURNS)).map(|turn| 4.0 * (2.0 * pattern(turn * step + id as u64) + 1.0));
            turns.sum()
        };
        all_are("memory_read", &program.read(2, 0, sums)?, of_invocation)?;
        Ok(2.0 * bytes as f64 / seconds / 1e9)
    }

    /// GB/s of writing two such buffers.
    pub fn memory_write(&self) -> Result<f64> {
        let (workgroups, bytes) = self.memory();
        let source = with_turns(MEMORY_WRITE, MEMORY_TURNS);
        let buffers = [(bytes, true), (bytes, true)];
        let program = self.engine.program(&ProgramSpec { name: "memory_write", source: &source, buffers: &buffers })?;
        let seconds = self.best_of_many(&program, workgroups)?;
        check_pattern("memory_write", &program, 0, bytes, 0.0)?;
        check_pattern("memory_write", &program, 1, bytes, 1.0)?;
        Ok(2.0 * bytes as f64 / seconds / 1e9)
    }

    /// GB/s of copying one such buffer to another, what is read and what is written together.
    pub fn memory_copy(&self) -> Result<f64> {
        let (workgroups, bytes) = self.memory();
        let source = with_turns(MEMORY_COPY, MEMORY_TURNS);
        let buffers = [(bytes, false), (bytes, true)];
        let program = self.engine.program(&ProgramSpec { name: "memory_copy", source: &source, buffers: &buffers })?;
        upload(&program, 0, bytes, 0.0)?;
        let seconds = self.best_of_many(&program, workgroups)?;
        check_pattern("memory_copy", &program, 1, bytes, 0.0)?;
        Ok(2.0 * bytes as f64 / seconds / 1e9)
    }

    /// Workgroups and bytes of one of the two buffers.
    fn memory(&self) -> (u32, u64) {
        let of_workgroup = u64::from(WORKGROUP * MEMORY_TURNS) * VECTOR_BYTES;
        let most = self.engine.adapter().limits.max_storage_buffer_binding_size;
        let workgroups = (most / of_workgroup).clamp(1, MOST_WORKGROUPS.into());
        (workgroups as u32, workgroups * of_workgroup)
    }

    /// GB/s of loads from workgroup memory.
    pub fn workgroup_load(&self) -> Result<f64> {
        let source = with_turns(WORKGROUP_LOAD, WORKGROUP_TURNS);
        let sums = u64::from(MOST_WORKGROUPS * WORKGROUP) * 4;
        let buffers = [(u64::from(WORKGROUP_TURNS) * 4, false), (sums, true)];
        let program = self.engine.program(&ProgramSpec { name: "workgroup_load", source: &source, buffers: &buffers })?;
        let numbers: Vec<f32> = (0..WORKGROUP_TURNS).map(|place| (place % 8) as f32).collect();
        program.write(0, 0, &numbers)?;
        let (workgroups, seconds) = self.best(&program, MOST_WORKGROUPS)?;
        let invocations = workgroups * WORKGROUP;
        // Each stream of loads comes by every vector once.
        let expected = (WORKGROUP_LOADS * 4) as f32 * numbers.iter().sum::<f32>();
        all_are("workgroup_load", &program.read(1, 0, u64::from(invocations) * 4)?, |_| expected)?;
        let loads = f64::from(invocations) * f64::from(WORKGROUP_TURNS * WORKGROUP_LOADS);
        Ok(loads * VECTOR_BYTES as f64 / seconds / 1e9)
    }

    /// Microseconds of a dispatch that does nothing, among many.
    pub fn empty_dispatch(&self) -> Result<f64> {
        let program = self.engine.program(&ProgramSpec { name: "empty", source: EMPTY, buffers: &[] })?;
        self.median(|| Ok(self.clock.seconds(&program.time(1, EMPTY_DISPATCHES)?) / f64::from(EMPTY_DISPATCHES)))
    }

    /// Microseconds from submitting nothing to knowing that it is done, on the host's clock.
    pub fn empty_submission(&self) -> Result<f64> {
        self.median(|| Ok(self.engine.time_empty_submission()?.wall.as_secs_f64()))
    }

    fn median(&self, time: impl Fn() -> Result<f64>) -> Result<f64> {
        time()?;
        let times = (0..EMPTY_RUNS).map(|_| time()).collect::<Result<Vec<_>>>()?;
        Ok(Summary::of(&times).map_or(f64::NAN, |summary| summary.median * 1e6))
    }
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

/// A ceiling whose shader did not do what it should is no ceiling.
fn all_are(what: &str, found: &[f32], expected: impl Fn(usize) -> f32) -> Result<()> {
    let wrong = found.iter().enumerate().find(|(number, found)| **found != expected(*number));
    match wrong {
        None => Ok(()),
        Some((number, found)) => {
            let (name, found) = (format!("result of {what}"), format!("{found} at {number}"));
            Err(Error::WrongNumber { name, found, expected: expected(number).to_string() })
        }
    }
}

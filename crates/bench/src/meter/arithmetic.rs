//! Multiply-adds by invocations, and by matrix units.

use orthoformer::gpu::{MatrixUnit, ProgramSpec};
use orthoformer::{Error, Result};

use super::super::programs::{MATRIX_TURNS, MULTIPLY_ADD_TURNS, cooperative_matrix, multiply_adds};
use super::{MOST_WORKGROUPS, Meter, Rate, WORKGROUP, all_are, best};

/// Workgroups of the shaders whose workgroups each need memory of their own.
const MOST_MATRIX_WORKGROUPS: u32 = 8_192;
const MULTIPLY_ADDS: u32 = 4 * MULTIPLY_ADD_TURNS;
/// Sums that do not wait for each other, in `multiply_add.wgsl` and in `cooperative_matrix.wgsl`.
const SUMS: u32 = 8;
const MATRIX_SUMS: u32 = 4;
const SUMS_BYTES: u64 = MOST_WORKGROUPS as u64 * WORKGROUP as u64 * 4;

impl<'e> Meter<'e> {
    /// Billions of operations a second of multiply-adds, of `f32`, `f16` or `i32` in vectors of these widths: the fastest way to write them.
    pub fn multiply_add(&self, scalar: &str, widths: &[u32]) -> Result<Vec<f64>> {
        let mut fastest = Vec::new();
        let ways = multiply_adds(scalar, MULTIPLY_ADD_TURNS).into_iter().filter(|(width, _)| widths.contains(width));
        for (width, source) in ways {
            let spec = ProgramSpec { name: "multiply_add", source: &source, buffers: &[(512, false), (SUMS_BYTES, true)] };
            let program = self.engine.program(&spec)?;
            program.write(0, 0, &[1.0f32; 128])?;
            let runs = self.grown(&program, MOST_WORKGROUPS)?;
            // Sum number s starts at s, counting from one.
            let expected = (1..=SUMS).map(|start| width * (start + MULTIPLY_ADDS)).sum::<u32>() as f32;
            let invocations = runs.count * WORKGROUP;
            all_are("multiply_add", &program.read(1, 0, u64::from(invocations) * 4)?, |_| expected)?;
            let rates = runs.rates(giga_operations(runs.count, width));
            if best(&rates) > best(&fastest) {
                fastest = rates;
            }
        }
        Ok(fastest)
    }

    /// GFLOP/s of multiply-adds in one way to write them, a run at a time.
    pub fn steady_multiply_adds(self) -> Result<Rate<'e>> {
        let Some((width, source)) = multiply_adds("f32", MULTIPLY_ADD_TURNS).into_iter().next() else {
            return Ok(Box::new(|| Ok(0.0)));
        };
        let spec = ProgramSpec { name: "multiply_add", source: &source, buffers: &[(512, false), (SUMS_BYTES, true)] };
        let program = self.engine.program(&spec)?;
        program.write(0, 0, &[1.0f32; 128])?;
        let workgroups = self.grown(&program, MOST_WORKGROUPS)?.count;
        let rate = move || Ok(giga_operations(workgroups, width) / self.clock.seconds(&program.time(workgroups, 1)?));
        Ok(Box::new(rate))
    }

    /// GFLOP/s of the fastest matrix unit. Those that do not work are passed over as long as another does.
    pub fn cooperative_matrix(&self, units: &[MatrixUnit]) -> Result<Vec<f64>> {
        let mut fastest: Vec<f64> = Vec::new();
        let mut first_error = None;
        for unit in units {
            match self.matrix_unit(unit) {
                Ok(found) if best(&found) > best(&fastest) => fastest = found,
                Ok(_) => {}
                Err(error @ Error::DeviceLost { .. }) => return Err(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let none = || Error::Argument { what: "matrix units", given: "none".to_owned(), expected: "at least one".to_owned() };
        if fastest.is_empty() { Err(first_error.unwrap_or_else(none)) } else { Ok(fastest) }
    }

    fn matrix_unit(&self, unit: &MatrixUnit) -> Result<Vec<f64>> {
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
        let runs = self.grown(&program, MOST_MATRIX_WORKGROUPS)?;
        let words = program.read(3, 0, u64::from(runs.count * MATRIX_SUMS) * numbers * bytes(unit.sums))?;
        let sums: Vec<f32> = match unit.sums {
            "f16" => bytemuck::cast_slice::<f32, half::f16>(&words).iter().map(|sum| sum.to_f32()).collect(),
            _ => words,
        };
        all_are("cooperative_matrix", &sums, |_| MATRIX_TURNS as f32)?;
        let operations = 2.0 * f64::from(runs.count * MATRIX_SUMS) * f64::from(MATRIX_TURNS) * f64::from(unit.side).powi(3);
        Ok(runs.rates(operations / 1e9))
    }
}

/// Billions of operations of a dispatch of `multiply_add.wgsl`.
fn giga_operations(workgroups: u32, width: u32) -> f64 {
    2.0 * f64::from(workgroups * WORKGROUP) * f64::from(SUMS * MULTIPLY_ADDS * width) / 1e9
}

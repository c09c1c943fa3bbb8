//! What the invocations of a workgroup or a subgroup do together, and what all of them share.

use orthoformer::Result;
use orthoformer::gpu::ProgramSpec;

use super::super::programs::{GLOBAL_ATOMIC, SUBGROUP_ADD, WORKGROUP_ATOMIC, WORKGROUP_BARRIER, WORKGROUP_LOAD, with_turns};
use super::{MOST_WORKGROUPS, Meter, WORKGROUP, all_are};

const WORKGROUP_TURNS: u32 = 512;
const WORKGROUP_LOADS: u32 = 8;
const VECTOR_BYTES: u64 = 16;
/// Turns of what is slower than a load; a multiple of the workgroup, so that each counter is met as often.
const SLOW_TURNS: u32 = 128;
/// Counters in `global_atomic.wgsl`, and the most workgroups that meet each of them as often.
const COUNTERS: u32 = 4_096;
const MOST_EVEN_WORKGROUPS: u32 = 32_768;
/// Barriers of a turn of `workgroup_barrier.wgsl`.
const BARRIERS: u32 = 2;
const SUMS_BYTES: u64 = MOST_WORKGROUPS as u64 * WORKGROUP as u64 * 4;

impl Meter<'_> {
    /// GB/s of loads from workgroup memory.
    pub fn workgroup_load(&self) -> Result<Vec<f64>> {
        let source = with_turns(WORKGROUP_LOAD, WORKGROUP_TURNS);
        let sums = u64::from(MOST_WORKGROUPS * WORKGROUP) * 4;
        let buffers = [(u64::from(WORKGROUP_TURNS) * 4, false), (sums, true)];
        let program = self.engine.program(&ProgramSpec { name: "workgroup_load", source: &source, buffers: &buffers })?;
        let numbers: Vec<f32> = (0..WORKGROUP_TURNS).map(|place| (place % 8) as f32).collect();
        program.write(0, 0, &numbers)?;
        let runs = self.grown(&program, MOST_WORKGROUPS)?;
        let invocations = runs.count * WORKGROUP;
        // Each stream of loads comes by every vector once.
        let expected = (WORKGROUP_LOADS * 4) as f32 * numbers.iter().sum::<f32>();
        all_are("workgroup_load", &program.read(1, 0, u64::from(invocations) * 4)?, |_| expected)?;
        let loads = f64::from(invocations) * f64::from(WORKGROUP_TURNS * WORKGROUP_LOADS);
        Ok(runs.rates(loads * VECTOR_BYTES as f64 / 1e9))
    }

    /// Billions of atomic additions to global memory a second.
    pub fn global_atomic(&self) -> Result<Vec<f64>> {
        let (source, bytes) = (with_turns(GLOBAL_ATOMIC, SLOW_TURNS), u64::from(COUNTERS) * 4);
        let program = self.engine.program(&ProgramSpec { name: "global_atomic", source: &source, buffers: &[(bytes, true)] })?;
        let runs = self.grown(&program, MOST_EVEN_WORKGROUPS)?;
        // Counters go on from run to run: the one that is checked begins at zero.
        program.write(0, 0, &vec![0u32; COUNTERS as usize])?;
        program.time(runs.count, 1)?;
        let counted: Vec<f32> = program.read(0, 0, bytes)?.iter().map(|count| count.to_bits() as f32).collect();
        let additions = runs.count * WORKGROUP * SLOW_TURNS;
        all_are("global_atomic", &counted, |_| (additions / COUNTERS) as f32)?;
        Ok(runs.rates(f64::from(additions) / 1e9))
    }

    /// Billions of atomic additions to workgroup memory a second.
    pub fn workgroup_atomic(&self) -> Result<Vec<f64>> {
        let source = with_turns(WORKGROUP_ATOMIC, SLOW_TURNS);
        self.together("workgroup_atomic", &source, false, |_| SLOW_TURNS as f32)
    }

    /// Billions of barriers a second, one for each invocation that comes to it.
    pub fn workgroup_barrier(&self) -> Result<Vec<f64>> {
        let source = with_turns(WORKGROUP_BARRIER, SLOW_TURNS);
        let expected = |id: usize| ((id as u32 + SLOW_TURNS) % WORKGROUP + SLOW_TURNS) as f32;
        let turns = self.together("workgroup_barrier", &source, false, expected)?;
        Ok(turns.iter().map(|turns| turns * f64::from(BARRIERS)).collect())
    }

    /// Billions of sums over a subgroup a second, one for each invocation that takes part.
    pub fn subgroup_add(&self) -> Result<Vec<f64>> {
        let source = with_turns(SUBGROUP_ADD, SLOW_TURNS);
        self.together("subgroup_add", &source, true, |_| (1 + SLOW_TURNS) as f32)
    }

    /// Billions of turns a second of a shader that writes a number an invocation, and may read ones.
    fn together(&self, name: &str, source: &str, reads: bool, expected: impl Fn(usize) -> f32) -> Result<Vec<f64>> {
        let ones = (u64::from(WORKGROUP) * 4, false);
        let buffers = if reads { vec![ones, (SUMS_BYTES, true)] } else { vec![(SUMS_BYTES, true)] };
        let program = self.engine.program(&ProgramSpec { name, source, buffers: &buffers })?;
        if reads {
            program.write(0, 0, &[1.0f32; WORKGROUP as usize])?;
        }
        let runs = self.grown(&program, MOST_WORKGROUPS)?;
        let invocations = runs.count * WORKGROUP;
        all_are(name, &program.read(buffers.len() - 1, 0, u64::from(invocations) * 4)?, expected)?;
        Ok(runs.rates(f64::from(invocations) * f64::from(SLOW_TURNS) / 1e9))
    }
}

//! Times of what a host's frames record, a few frames later, without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use wgpu::{BufferUsages, CommandEncoder, ComputePass, MapMode, QueryType};

use super::engine::Engine;
use super::within::SliceRun;
use crate::error::Result;

/// Frames whose times may be outstanding.
const FRAMES: usize = 4;
const DOING: &str = "timing a frame";

/// Where a frame's timestamps are.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Free,
    OnTheirWay,
    Here,
    Lost,
}

/// Timestamps of one frame, two for each of its runs.
struct Frame {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    copy: wgpu::Buffer,
    state: Arc<AtomicU8>,
    runs: Vec<SliceRun>,
}

/// Times runs of frames by timestamp queries.
#[derive(Default)]
pub(super) struct FrameClock {
    frames: Vec<Frame>,
}

impl FrameClock {
    /// Most runs that a frame can have.
    pub const RUNS: usize = 64;

    /// Hands the times that have arrived to `measured`, in seconds. Does not wait.
    pub fn collect(&mut self, engine: &Engine, mut measured: impl FnMut(&SliceRun, f64)) {
        let period = f64::from(engine.queue.get_timestamp_period()) * 1e-9;
        for frame in &self.frames {
            if frame.state.load(Ordering::Acquire) == State::Here as u8 {
                let times = frame.times(period);
                frame.copy.unmap();
                frame.state.store(State::Free as u8, Ordering::Release);
                frame
                    .runs
                    .iter()
                    .zip(times)
                    .filter_map(|(run, time)| Some((run, time?)))
                    .for_each(|(run, time)| measured(run, time));
            }
        }
    }

    /// Records each run in a pass of its own, with timestamps around it. Returns whether it did: the times of the last frames may all be
    /// outstanding.
    pub fn record(
        &mut self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        runs: &[SliceRun],
        record: impl Fn(&SliceRun, &mut ComputePass<'_>),
    ) -> Result<bool> {
        let free = self.frames.iter().position(|frame| frame.state.load(Ordering::Acquire) == State::Free as u8);
        let index = match free {
            Some(index) => index,
            None if self.frames.len() < FRAMES => {
                self.frames.push(engine.checked_now(DOING, || Frame::new(engine))?);
                self.frames.len() - 1
            }
            None => return Ok(false),
        };
        if let Some(frame) = self.frames.get_mut(index).filter(|_| !runs.is_empty()) {
            frame.record(encoder, runs, record);
        }
        Ok(true)
    }
}

impl Frame {
    fn new(engine: &Engine) -> Self {
        let count = 2 * FrameClock::RUNS as u32;
        let queries = wgpu::QuerySetDescriptor { label: Some("timestamps"), ty: QueryType::Timestamp, count };
        let size = u64::from(count * wgpu::QUERY_SIZE);
        Self {
            queries: engine.device.create_query_set(&queries),
            resolved: engine.buffer("timestamps", size, BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC),
            copy: engine.buffer("timestamps", size, BufferUsages::MAP_READ | BufferUsages::COPY_DST),
            state: Arc::new(AtomicU8::new(State::Free as u8)),
            runs: Vec::new(),
        }
    }

    fn record(&mut self, encoder: &mut CommandEncoder, runs: &[SliceRun], record: impl Fn(&SliceRun, &mut ComputePass<'_>)) {
        for (run, first) in runs.iter().zip((0..).step_by(2)) {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: Some("orthoformer"), timestamp_writes };
            record(run, &mut encoder.begin_compute_pass(&descriptor));
        }
        let count = 2 * runs.len() as u32;
        let bytes = u64::from(count * wgpu::QUERY_SIZE);
        encoder.resolve_query_set(&self.queries, 0..count, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.copy, 0, bytes);
        self.state.store(State::OnTheirWay as u8, Ordering::Release);
        let state = self.state.clone();
        encoder.map_buffer_on_submit(&self.copy, MapMode::Read, ..bytes, move |mapped| {
            let arrived = if mapped.is_ok() { State::Here } else { State::Lost };
            state.store(arrived as u8, Ordering::Release);
        });
        self.runs = runs.to_vec();
    }

    /// Seconds that each run took; `None` where the timestamps cannot be right.
    fn times(&self, period: f64) -> Vec<Option<f64>> {
        let bytes = u64::from(2 * self.runs.len() as u32 * wgpu::QUERY_SIZE);
        let Ok(view) = self.copy.get_mapped_range(..bytes) else { return Vec::new() };
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        let time = |[begin, end]: &[u64; 2]| {
            let ticks = end.checked_sub(*begin).filter(|&ticks| ticks > 0)?;
            Some(ticks as f64 * period).filter(|&seconds| seconds < 60.0)
        };
        ticks.as_chunks::<2>().0.iter().map(time).collect()
    }
}

//! Times of passes on the device, by timestamp queries if the device has them.

use std::time::Duration;

use web_time::Instant;
use wgpu::{BufferUsages, ComputePass, Features, QueryType};

use super::engine::Engine;
use super::waiting::Waiting;
use crate::error::Result;

/// Most passes of one query set, with two timestamps each.
const PASSES_OF_A_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;
const TIMESTAMP_BYTES: u64 = wgpu::QUERY_SIZE as u64;

/// How long a submission took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time on the host, from submission to completion.
    pub wall: Duration,
    /// On the device, pass by pass; `None` where the device has no timestamp queries or its timestamps cannot be right (an end before its
    /// beginning, or passes that took longer together than the host waited).
    pub passes: Option<Vec<Duration>>,
}

impl Timing {
    /// All passes together on the device.
    pub fn device(&self) -> Option<Duration> {
        self.passes.as_ref().map(|passes| passes.iter().sum())
    }
}

/// Query sets with the buffers that their timestamps go through.
struct Stopwatch {
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    copy: wgpu::Buffer,
}

impl Engine {
    /// Whether the device was opened with timestamp queries.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(Features::TIMESTAMP_QUERY)
    }

    /// Times `count` passes that `record` fills.
    pub(super) async fn timed(
        &self,
        doing: &str,
        count: usize,
        record: impl Fn(usize, &mut ComputePass<'_>),
        waiting: Waiting,
    ) -> Result<Timing> {
        let recording = self.checked(doing, || {
            let stopwatch = (self.has_timestamps() && count > 0).then(|| self.stopwatch(count));
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("timed") });
            for number in 0..count {
                let writes = stopwatch.as_ref().map(|stopwatch| {
                    let first = (number % PASSES_OF_A_SET * 2) as u32;
                    wgpu::ComputePassTimestampWrites {
                        query_set: &stopwatch.sets[number / PASSES_OF_A_SET],
                        beginning_of_pass_write_index: Some(first),
                        end_of_pass_write_index: Some(first + 1),
                    }
                });
                let descriptor = wgpu::ComputePassDescriptor { label: Some("timed"), timestamp_writes: writes };
                record(number, &mut encoder.begin_compute_pass(&descriptor));
            }
            if let Some(stopwatch) = &stopwatch {
                stopwatch.resolve(&mut encoder, count);
            }
            (stopwatch, encoder.finish())
        });
        let (stopwatch, commands) = recording.await?;
        let start = Instant::now();
        self.checked(doing, || self.queue.submit([commands])).await?;
        self.wait(doing, waiting).await?;
        let wall = start.elapsed();
        let Some(stopwatch) = stopwatch else { return Ok(Timing { wall, passes: None }) };
        let ticks: Vec<u64> = self.mapped(doing, &[&stopwatch.copy], waiting).await?.concat();
        Ok(Timing { wall, passes: durations(&ticks, self.queue.get_timestamp_period(), wall) })
    }

    fn stopwatch(&self, count: usize) -> Stopwatch {
        let of_set = |first: usize| {
            let passes = PASSES_OF_A_SET.min(count - first);
            let descriptor =
                wgpu::QuerySetDescriptor { label: Some("timestamps"), ty: QueryType::Timestamp, count: 2 * passes as u32 };
            self.device.create_query_set(&descriptor)
        };
        let buffer = |usage| {
            let size = 2 * count as u64 * TIMESTAMP_BYTES;
            let descriptor = wgpu::BufferDescriptor { label: Some("timestamps"), size, usage, mapped_at_creation: false };
            self.device.create_buffer(&descriptor)
        };
        Stopwatch {
            sets: (0..count).step_by(PASSES_OF_A_SET).map(of_set).collect(),
            resolved: buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC),
            copy: buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST),
        }
    }
}

impl Stopwatch {
    fn resolve(&self, encoder: &mut wgpu::CommandEncoder, count: usize) {
        for (number, set) in self.sets.iter().enumerate() {
            let first = number * PASSES_OF_A_SET;
            let queries = 2 * PASSES_OF_A_SET.min(count - first) as u32;
            encoder.resolve_query_set(set, 0..queries, &self.resolved, 2 * first as u64 * TIMESTAMP_BYTES);
        }
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.copy, 0, self.copy.size());
    }
}

/// Durations between pairs of timestamps, if they are plausible. A driver that writes none leaves zeros.
fn durations(ticks: &[u64], nanoseconds: f32, wall: Duration) -> Option<Vec<Duration>> {
    let pairs = ticks.as_chunks::<2>().0;
    let of_pair = |[begin, end]: &[u64; 2]| {
        let nanoseconds = end.checked_sub(*begin)? as f64 * f64::from(nanoseconds);
        Some(Duration::from_nanos(nanoseconds as u64))
    };
    let passes: Vec<Duration> = pairs.iter().map(of_pair).collect::<Option<_>>()?;
    let all: Duration = passes.iter().try_fold(Duration::ZERO, |all, pass| all.checked_add(*pass))?;
    // The device starts before the host has returned from submitting and ends before the host notices; both clocks drift a little.
    let believable =
        ticks.iter().any(|&tick| tick != 0) && !all.is_zero() && all <= wall.mul_f64(1.02) + Duration::from_micros(20);
    believable.then_some(passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_that_cannot_be_right_are_not_believed() {
        let wall = Duration::from_millis(1);
        let found = durations(&[1000, 2000, 2000, 2500], 2.0, wall).expect("plausible");
        assert_eq!(found, [Duration::from_micros(2), Duration::from_micros(1)]);
        assert_eq!(durations(&[0, 0, 0, 0], 1.0, wall), None, "no clock");
        assert_eq!(durations(&[7, 7], 1.0, wall), None, "a clock that stands still");
        assert_eq!(durations(&[2000, 1000], 1.0, wall), None, "backwards");
        assert_eq!(durations(&[0, 5_000_000], 1.0, wall), None, "longer than the host waited");
        assert_eq!(durations(&[0, u64::MAX], 1e9, wall), None, "far longer");
    }
}

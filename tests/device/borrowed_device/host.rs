//! A graphics application as it might be: its own device, buffers and encoders, and handlers that nobody else may touch.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orthoformer::gpu::{Bindings, Engine};
use orthoformer::plan::Role;
use orthoformer::{Plan, Tensors, required_features, required_limits};
use wgpu::util::DeviceExt;

pub struct Host {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// What reached the host's own handlers.
    pub heard: Arc<Mutex<Vec<String>>>,
}

/// The host's buffers for the inputs and outputs of a plan, each with something else before it.
pub struct HostBuffers {
    offset: u64,
    by_name: BTreeMap<String, wgpu::Buffer>,
}

impl Host {
    /// A device with no more than what kernels need.
    pub fn new() -> Self {
        Self::limited(wgpu::Limits::downlevel_defaults().or_better_values_from(&required_limits()))
    }

    /// A device with these limits and no optional feature.
    pub fn limited(limits: wgpu::Limits) -> Self {
        Self::open(&support::adapter(), limits, wgpu::Features::empty())
    }

    /// A device with timestamp queries, if its adapter has them.
    pub fn with_timestamps() -> Self {
        let limits = wgpu::Limits::downlevel_defaults().or_better_values_from(&required_limits());
        Self::open(&support::adapter(), limits, wgpu::Features::TIMESTAMP_QUERY)
    }

    fn open(adapter: &wgpu::Adapter, required_limits: wgpu::Limits, wished: wgpu::Features) -> Self {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("the host's"),
            required_features: required_features(adapter) | (wished & adapter.features()),
            required_limits,
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("opens");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (errors, losses) = (heard.clone(), heard.clone());
        device.on_uncaptured_error(Arc::new(move |error| errors.lock().expect("whole").push(format!("uncaptured: {error}"))));
        device.set_device_lost_callback(move |reason, message| {
            losses.lock().expect("whole").push(format!("lost: {reason:?} {message}"));
        });
        Self { device, queue, heard }
    }

    /// Nothing reached the host's handlers: they are still its own, and there was nothing to say.
    pub fn assert_silent(&self) {
        assert_eq!(*self.heard.lock().expect("whole"), Vec::<String>::new());
        // And they do work.
        let usage = wgpu::BufferUsages::empty();
        drop(self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false }));
        let heard = std::mem::take(&mut *self.heard.lock().expect("whole"));
        assert!(heard.len() == 1 && heard[0].starts_with("uncaptured"), "{heard:?}");
    }

    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("a frame") })
    }

    /// A buffer full of NaN.
    pub fn poisoned(&self, bytes: u64) -> wgpu::Buffer {
        self.filled(&vec![0xff; bytes as usize])
    }

    /// A buffer in which nothing is written.
    pub fn untouched(&self, size: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE;
        self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    }

    fn filled(&self, contents: &[u8]) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some("the host's"), contents, usage })
    }

    /// Buffers for a plan: inputs from `offset` on, outputs poisoned, NaN before and behind.
    pub fn buffers(&self, plan: &Plan, inputs: &Tensors, offset: u64) -> HostBuffers {
        let given = plan.buffers().iter().filter(|spec| spec.role == Role::Input || spec.is_output());
        let buffer = |spec: &orthoformer::plan::BufferSpec| {
            let mut contents = vec![0xffu8; (offset + spec.bytes() + 256) as usize];
            if let Some(tensor) = inputs.get(&spec.name).filter(|_| spec.role == Role::Input) {
                let bytes: &[u8] = bytemuck::cast_slice(tensor.data());
                contents[offset as usize..][..bytes.len()].copy_from_slice(bytes);
            }
            (spec.name.clone(), self.filled(&contents))
        };
        HostBuffers { offset, by_name: given.map(buffer).collect() }
    }

    /// Submits what was recorded and reads all outputs of the plan.
    pub fn finish(&self, engine: &Engine, plan: &Plan, buffers: &HostBuffers, mut encoder: wgpu::CommandEncoder) -> Tensors {
        let outputs = plan.buffers().iter().filter(|spec| spec.is_output());
        let readings: Vec<_> = outputs
            .map(|spec| {
                let reading = engine.read_back(plan, &spec.name).expect("allocates");
                reading.record(engine, buffers.slice(&spec.name), &mut encoder).expect("records");
                (spec.name.clone(), reading)
            })
            .collect();
        self.queue.submit([encoder.finish()]);
        readings.into_iter().map(|(name, reading)| (name, reading.wait(engine).expect("reads"))).collect()
    }

    /// An executor as a frame loop has it: polls the future once a frame, and the device without waiting.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut future = std::pin::pin!(future);
        let start = Instant::now();
        loop {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
            assert!(start.elapsed() < Duration::from_secs(600), "the future never comes");
            self.device.poll(wgpu::PollType::Poll).expect("polls");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl HostBuffers {
    pub fn bindings(&self) -> Bindings<'_> {
        self.bindings_where(|_| true)
    }

    pub fn bindings_where(&self, is_bound: impl Fn(&str) -> bool) -> Bindings<'_> {
        let bound = self.by_name.keys().filter(|name| is_bound(name));
        bound.fold(Bindings::new(), |bindings, name| bindings.bind(name, self.slice(name)))
    }

    pub fn slice(&self, name: &str) -> wgpu::BufferSlice<'_> {
        self.by_name[name].slice(self.offset..)
    }

    /// Writes elements into a part, from its element `first` on.
    pub fn write(&self, host: &Host, name: &str, first: usize, data: &[f32]) {
        let offset = self.offset + (first * size_of::<f32>()) as u64;
        host.queue.write_buffer(&self.by_name[name], offset, bytemuck::cast_slice(data));
    }
}

//! Reading results of recorded plans when the device has them.

use std::sync::atomic::{AtomicBool, Ordering};

use wgpu::{BufferSlice, BufferUsages, CommandEncoder};

use super::engine::Engine;
use super::waiting::Waiting;
use crate::error::{Error, Result};
use crate::plan::{BufferSpec, Plan};
use crate::tensor::Tensor;

/// Memory for reading one buffer of a plan repeatedly: record a copy, submit, and only then read.
pub struct ReadBack {
    spec: BufferSpec,
    copy: wgpu::Buffer,
    /// A future is reading: until it is ready, nothing can be copied.
    is_read: AtomicBool,
    /// A copy was recorded at least once.
    was_recorded: AtomicBool,
}

impl std::fmt::Debug for ReadBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadBack").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Engine {
    /// Allocates memory for reading the plan's output (or input) of this name.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if the plan has no such buffer; [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Device`].
    pub fn read_back(&self, plan: &Plan, name: &str) -> Result<ReadBack> {
        self.not_known_lost("allocating memory to read through")?;
        let spec = plan.buffers().iter().find(|spec| spec.name == name).ok_or_else(|| {
            let names: Vec<&str> = plan.buffers().iter().map(|spec| spec.name.as_str()).collect();
            Error::MissingTensor { name: name.to_owned(), given: names.join(", ") }
        })?;
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let make = || self.buffer("read back", spec.bytes(), usage);
        let copy = self.checked_now("allocating memory to read through", make)?;
        let no = || AtomicBool::new(false);
        Ok(ReadBack { spec: spec.clone(), copy, is_read: no(), was_recorded: no() })
    }
}

impl ReadBack {
    /// Records a copy from the part bound to the plan's buffer. Nothing is submitted. A pending future of [`ReadBack::tensor`] owns the memory:
    /// a host that reads every frame needs one of these for each frame in flight.
    ///
    /// # Errors
    /// [`Error::BeingRead`] while such a future is pending, [`Error::DeviceLost`]; [`Error::HostBinding`] if the part is too small, does not begin at a multiple of 4, or its buffer lacks `COPY_SRC`.
    pub fn record(&self, engine: &Engine, source: BufferSlice<'_>, encoder: &mut CommandEncoder) -> Result<()> {
        engine.not_known_lost("recording a copy")?;
        if self.is_read.load(Ordering::Acquire) {
            return Err(Error::BeingRead { buffer: self.spec.name.clone() });
        }
        let bytes = self.spec.bytes();
        let wrong = |found: String, expected: String| Err(Error::HostBinding { buffer: self.spec.name.clone(), found, expected });
        if source.size() < bytes {
            return wrong(format!("{} bytes", source.size()), format!("at least {bytes}"));
        }
        if !source.offset().is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) {
            return wrong(format!("a part that begins at byte {}", source.offset()), "a multiple of 4".to_owned());
        }
        if !source.buffer().usage().contains(BufferUsages::COPY_SRC) {
            let usages = source.buffer().usage();
            return wrong(format!("a buffer with the usages {usages:?}"), "COPY_SRC among them".to_owned());
        }
        self.was_recorded.store(true, Ordering::Release);
        encoder.copy_buffer_to_buffer(source.buffer(), source.offset(), &self.copy, 0, bytes);
        Ok(())
    }

    /// The tensor of the last submitted copy, as soon as the device has made it. Natively a borrowed device must be polled for that: by the
    /// host, or by [`ReadBack::wait`]. Poll the future only after the copy was submitted: from then on the memory is being mapped,
    /// and wgpu refuses submissions that use it. Dropping the future frees the memory for the next copy.
    ///
    /// # Errors
    /// [`Error::NothingRecorded`] before any [`ReadBack::record`];
    /// [`Error::BeingRead`] while an earlier future is pending; [`Error::DeviceLost`], [`Error::ReadCancelled`] if the mapping was
    /// cancelled, [`Error::Device`].
    pub async fn tensor(&self, engine: &Engine) -> Result<Tensor> {
        self.tensor_by(engine, Waiting::Future).await
    }

    /// The same, blocking: polls the device until it has finished all submissions.
    ///
    /// # Errors
    /// Those of [`ReadBack::tensor`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(&self, engine: &Engine) -> Result<Tensor> {
        pollster::block_on(self.tensor_by(engine, Waiting::Polling))
    }

    async fn tensor_by(&self, engine: &Engine, waiting: Waiting) -> Result<Tensor> {
        if !self.was_recorded.load(Ordering::Acquire) {
            return Err(Error::NothingRecorded { buffer: self.spec.name.clone() });
        }
        if self.is_read.swap(true, Ordering::AcqRel) {
            return Err(Error::BeingRead { buffer: self.spec.name.clone() });
        }
        let _reading = Reading(&self.is_read);
        let bytes: Vec<Vec<u8>> = engine.mapped("reading back", &[&self.copy], waiting).await?;
        self.spec.tensor(self.spec.element.decode(&bytes.concat(), self.spec.elements() as usize))
    }
}

/// Marks memory as being read, until it is ready or dropped.
struct Reading<'r>(&'r AtomicBool);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

//! The one error type of this crate, and of those that are built on it: readers of checkpoints and clips, the benchmark, the program.
//!
//! A variant carries the wrong values and its message says what would be right, so that a
//! caller can act on it without reading the source.

use std::path::PathBuf;

/// What a fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size is zero, and must be at least one.
    #[error("{what} is 0; it must be at least 1")]
    ZeroSize {
        /// The size's name.
        what: &'static str,
    },
    /// A size above what the kernels are built for.
    #[error("{what} is {given}; the most that is supported is {most}")]
    TooLarge {
        /// The size's name.
        what: &'static str,
        /// The size asked for.
        given: u64,
        /// The largest size that works.
        most: u64,
    },
    /// A product of sizes does not fit the integer that must hold it.
    #[error("{what}: the product of {factors:?} does not fit in {bits} bits")]
    SizeOverflow {
        /// What the product counts.
        what: String,
        /// The factors.
        factors: Vec<u64>,
        /// Width of the integer that is too small.
        bits: u32,
    },
    /// A size is no multiple of another.
    #[error("{what} is {given}, which is not a multiple of {divisor_name} = {divisor}")]
    DoesNotDivide {
        /// The size's name.
        what: &'static str,
        /// The size.
        given: u64,
        /// The divisor's name.
        divisor_name: &'static str,
        /// The divisor.
        divisor: u64,
    },
    /// An index outside its range.
    #[error("{what} {index} is out of range; it must be below {count}")]
    OutOfRange {
        /// What is indexed.
        what: &'static str,
        /// The index.
        index: u64,
        /// One more than the last valid index.
        count: u64,
    },
    /// A dispatch's params access more than a binding holds.
    #[error("kernel {kernel}, binding {binding}: the params access {needed} elements, {bound} are bound")]
    BindingTooShort {
        /// The kernel's name.
        kernel: &'static str,
        /// The binding's name in the shader.
        binding: &'static str,
        /// Extent of the params' accesses, in elements.
        needed: u64,
        /// Size of the binding, in elements.
        bound: u64,
    },
    /// Part of a buffer that one dispatch must see at once is larger than a binding may be.
    #[error(
        "buffer {buffer:?}: one binding of {bytes} bytes is needed, the limit is {limit}; use a smaller batch or shape, or a device with larger storage bindings"
    )]
    BindingTooLarge {
        /// The buffer's name in the plan.
        buffer: String,
        /// Bytes to be bound.
        bytes: u64,
        /// The device's limit.
        limit: u64,
    },
    /// A buffer larger than the device can allocate.
    #[error("buffer {buffer:?} takes {bytes} bytes, the device's limit for one buffer is {limit}")]
    BufferTooLarge {
        /// The buffer's name in the plan.
        buffer: String,
        /// Its size.
        bytes: u64,
        /// The device's limit.
        limit: u64,
    },
    /// A plan is stored as float16, which the device does not support.
    #[error("the device on {adapter} has no 16-bit floats (wgpu's SHADER_F16): open it with them, or store the plan as f32")]
    NoHalf {
        /// The adapter's name.
        adapter: String,
    },
    /// A dispatch of more workgroups than two grid dimensions hold.
    #[error("kernel {kernel}: {workgroups} workgroups, the device takes at most {most}")]
    TooManyWorkgroups {
        /// The kernel's name.
        kernel: &'static str,
        /// Workgroups asked for.
        workgroups: u64,
        /// The most that can be dispatched.
        most: u64,
    },
    /// A view that does not fit its kernel, or the other views of the dispatch.
    #[error("kernel {kernel}, view {view}: {what} is {given}, {expected} expected")]
    ViewMismatch {
        /// The kernel's name.
        kernel: &'static str,
        /// The view's name in the kernel's declaration.
        view: &'static str,
        /// What does not fit.
        what: &'static str,
        /// What the view has.
        given: u64,
        /// What it should have.
        expected: u64,
    },
    /// A dispatch that does not fit its kernel's row.
    #[error("kernel {kernel}: {what}: {given} given, {expected} expected")]
    DispatchMismatch {
        /// The kernel's name.
        kernel: &'static str,
        /// What does not fit.
        what: &'static str,
        /// What the dispatch has.
        given: u64,
        /// What the kernel has.
        expected: u64,
    },

    /// A needed tensor is missing.
    #[error("tensor {name:?} is missing; given are: {given}")]
    MissingTensor {
        /// The missing tensor's name.
        name: String,
        /// Names of the given tensors.
        given: String,
    },
    /// A tensor has the wrong shape.
    #[error("tensor {name:?} has shape {found:?}; expected {expected}")]
    WrongShape {
        /// The tensor's name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that would be right.
        expected: String,
    },
    /// A tensor's element type cannot be used.
    #[error("tensor {name:?} has element type {found}; expected {expected}")]
    WrongType {
        /// The tensor's name.
        name: String,
        /// Its element type.
        found: String,
        /// The types that would be right.
        expected: &'static str,
    },
    /// A value in a tensor cannot be used.
    #[error("tensor {name:?} holds {found}; expected {expected}")]
    WrongNumber {
        /// The tensor's name.
        name: String,
        /// The value.
        found: String,
        /// Values that would be right.
        expected: String,
    },
    /// A metadata entry is missing or has a value that is not understood.
    #[error("metadata {key:?} is {found}; expected {expected}")]
    Metadata {
        /// The entry's key.
        key: &'static str,
        /// Its value in quotes, or the word `missing`.
        found: String,
        /// What would be right.
        expected: String,
    },

    /// There is no adapter.
    #[error(
        "no GPU adapter found for the backends {backends}; install a Vulkan driver (on Debian or Ubuntu the package mesa-vulkan-drivers has one that runs on the CPU)"
    )]
    NoAdapter {
        /// The backends that were tried.
        backends: String,
    },
    /// The adapter asked for does not exist.
    #[error("no adapter matches {wanted:?}; available: {available}")]
    AdapterNotFound {
        /// What was asked for.
        wanted: String,
        /// The available adapters.
        available: String,
    },
    /// The adapter offers less than the kernels need.
    #[error("adapter {adapter:?} offers {limit} = {has}, at least {needs} is needed")]
    AdapterTooSmall {
        /// The adapter's name.
        adapter: String,
        /// The limit's name in WebGPU.
        limit: &'static str,
        /// What the adapter has.
        has: u64,
        /// What is needed.
        needs: u64,
    },
    /// The driver refused to open a device.
    #[error("adapter {adapter:?} refused a device: {message}")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// The driver's words.
        message: String,
    },
    /// A shader does not compile, or names a library that does not exist.
    #[error("{location}: {message}")]
    Shader {
        /// Shader file and line.
        location: String,
        /// The compiler's words.
        message: String,
    },
    /// The device, or for the reference the host, ran out of memory.
    #[error("out of memory while {doing}: {message}")]
    OutOfMemory {
        /// What was being done.
        doing: String,
        /// The driver's words.
        message: String,
    },
    /// The device is lost; make a new engine.
    #[error("the device was lost while {doing}: {message}")]
    DeviceLost {
        /// What was being done.
        doing: String,
        /// The driver's words.
        message: String,
    },
    /// A mapping of memory was cancelled before the device finished it.
    #[error("the device gave up reading or writing while {doing}")]
    ReadCancelled {
        /// What was being done.
        doing: String,
    },
    /// The read-back memory is in use.
    #[error("{buffer:?} is being read: await or drop the earlier future first, or read through memory of its own")]
    BeingRead {
        /// The buffer's name in the plan.
        buffer: String,
    },
    /// There is nothing to read yet.
    #[error("nothing was copied of {buffer:?} yet: call ReadBack::record and submit first")]
    NothingRecorded {
        /// The buffer's name in the plan.
        buffer: String,
    },
    /// A browser cannot compile within a call that must not wait.
    #[error("the plan was not compiled for this engine yet; await Engine::compile_async first")]
    NotCompiled,
    /// A host's binding does not fit its buffer of a plan.
    #[error("buffer {buffer:?} of the plan is bound to {found}; expected {expected}")]
    HostBinding {
        /// The buffer's name in the plan, or the allocation of scratch memory.
        buffer: String,
        /// What was bound.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// The device reported an error.
    #[error("the device reported an error while {doing}: {message}")]
    Device {
        /// What was being done.
        doing: String,
        /// The driver's words.
        message: String,
    },

    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file's contents are not what its use requires.
    #[error("{}: {reason}", path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A point outside the picture.
    #[error("point {x},{y} is outside the picture, which is {width} x {height} pixels")]
    PointOutside {
        /// Given column, in pixels.
        x: f64,
        /// Given row, in pixels.
        y: f64,
        /// Width of the picture, in pixels.
        width: u32,
        /// Height of the picture, in pixels.
        height: u32,
    },
    /// An argument that contradicts another, or is not of its form.
    #[error("{what}: {given:?} is not valid; expected {expected}")]
    Argument {
        /// The argument's name.
        what: &'static str,
        /// What was given.
        given: String,
        /// What would be right.
        expected: String,
    },

    /// Whoever waited for the work asked to stop it.
    #[error("interrupted: {lost}")]
    Interrupted {
        /// What was done until then, and what is lost of it.
        lost: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was tried on which path.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Names the file in an error about what it holds.
    pub fn contents<E: std::fmt::Display>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |error| Self::Contents { path, reason: error.to_string() }
    }
}

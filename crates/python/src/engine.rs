//! Engines: where plans run.

use std::ffi::CString;
use std::sync::Arc;

use orthoformer::gpu::{self, AdapterChoice, AdapterSummary, EngineOptions};
use orthoformer::{Error, Result};
use orthoformer_bench::tune::{default_folder, default_path, load};
use orthoformer_cpu::{CpuEngine, CpuOptions, Executor};
use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::failure::Failure;
use super::waiting::interruptible;

/// Every API but OpenGL. Mesa's makes its LLVM known to the whole process, and Triton, which comes with PyTorch and has another one, crashes on it.
const WITHOUT_OPENGL: &str = "vulkan,metal,dx12";

/// The backends to look through for adapters by name: OpenGL is looked at where it is asked for.
fn backends(given: Option<String>) -> Option<String> {
    given.or_else(|| std::env::var_os("WGPU_BACKEND").is_none().then(|| WITHOUT_OPENGL.to_owned()))
}

/// A device, the CPU engine, or the CPU reference. One engine serves any number of networks and calls.
///
/// `executor` is "auto" (the GPU; the CPU engine where adapters are software or there is none), "gpu" (whatever adapter there is),
/// "cpu" (vector code and threads) or "reference" (plain loops, slow and right).
/// `adapter` is a part of the adapter's name, or its index in `devices()`; `backend` "vulkan", "metal", "dx12" or "gl".
/// `without` leaves optional features out ("f16,subgroups"); `matrix_units` opens the device with them, for networks stored as "f16".
/// Raises `DeviceError` and `InputError`.
#[pyclass(frozen, module = "orthoformer")]
pub struct Engine {
    pub executor: Arc<Executor>,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (executor = "auto", *, adapter = None, backend = None, without = None, matrix_units = false))]
    fn new(
        py: Python<'_>,
        executor: &str,
        adapter: Option<String>,
        backend: Option<String>,
        without: Option<String>,
        matrix_units: bool,
    ) -> std::result::Result<Self, Failure> {
        let name = executor.to_owned();
        let is_named = adapter.is_some() || std::env::var_os("WGPU_ADAPTER_NAME").is_some();
        // Of all adapters the engine itself takes one of OpenGL's only where there is no other.
        let backend = if is_named { backends(backend) } else { backend };
        let options = EngineOptions {
            choice: AdapterChoice { backend, adapter, without },
            matrix_units,
            // As large as the adapter's: what will be asked for is not known yet.
            largest_buffer_bytes: u64::MAX,
            pipeline_folder: default_folder(),
            ..EngineOptions::default()
        };
        let (executor, notes) = interruptible(py, move || open(&name, &options))?;
        for note in notes {
            let note = CString::new(note).map_err(PyErr::from)?;
            PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &note, 1)?;
        }
        Ok(Self { executor: Arc::new(executor) })
    }

    /// Adapter, driver and backend, and whether it was tuned; or what it is on the CPU.
    #[getter]
    fn description(&self) -> String {
        self.executor.describe()
    }

    fn __repr__(&self) -> String {
        format!("<orthoformer.Engine on {}>", self.executor.describe())
    }
}

/// The executor of this name, tuned if `orthoformer tune` was run on its adapter; and what to know about how it was opened.
///
/// # Errors
/// Those of [`gpu::Engine::new`] and [`CpuEngine::new`]; [`Error::Argument`] for another name.
fn open(name: &str, options: &EngineOptions) -> Result<(Executor, Vec<String>)> {
    let mut notes = Vec::new();
    let executor = match name {
        "auto" => {
            let (executor, reason) = Executor::best(options)?;
            notes.extend(reason.map(|reason| format!("{reason}; running on {}", executor.describe())));
            executor
        }
        "gpu" => Executor::Gpu(Box::new(gpu::Engine::new(options)?)),
        "cpu" => Executor::Cpu(CpuEngine::new(&CpuOptions::default())?),
        "reference" => Executor::Reference,
        other => {
            let expected = "auto, gpu, cpu or reference".to_owned();
            return Err(Error::Argument { what: "executor", given: other.to_owned(), expected });
        }
    };
    if let Executor::Gpu(engine) = &executor {
        match default_path(engine.adapter()).map(|path| load(&path, engine.adapter())).transpose() {
            Ok(tuning) => tuning.flatten().into_iter().for_each(|tuning| engine.set_tuning(tuning)),
            Err(error) => notes.push(format!("the tuning cache is ignored: {error}")),
        }
    }
    Ok((executor, notes))
}

/// The adapters of this machine, best first, as dictionaries; those of OpenGL where it is asked for.
#[pyfunction]
#[pyo3(signature = (backend = None))]
pub fn devices(py: Python<'_>, backend: Option<String>) -> std::result::Result<Vec<Bound<'_, PyDict>>, Failure> {
    let choice = AdapterChoice { backend: backends(backend), ..AdapterChoice::default() };
    let found = interruptible(py, move || gpu::adapters(&choice))?;
    Ok(found.iter().map(|adapter| dictionary(py, adapter)).collect::<PyResult<_>>()?)
}

fn dictionary<'py>(py: Python<'py>, adapter: &AdapterSummary) -> PyResult<Bound<'py, PyDict>> {
    let (fields, tiers) = (PyDict::new(py), &adapter.tiers);
    fields.set_item("name", &adapter.name)?;
    fields.set_item("backend", &adapter.backend)?;
    fields.set_item("kind", &adapter.kind)?;
    fields.set_item("driver", &adapter.driver)?;
    fields.set_item("unusable", &adapter.unusable)?;
    fields.set_item("float16", tiers.f16.on)?;
    fields.set_item("subgroups", tiers.subgroups.on)?;
    fields.set_item("limits", adapter.limits.named().into_iter().collect::<std::collections::BTreeMap<_, _>>())?;
    Ok(fields)
}

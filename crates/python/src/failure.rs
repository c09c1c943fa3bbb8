//! Errors of the library as exceptions of `orthoformer._errors`.

use std::io::ErrorKind;

use orthoformer::Error;
use pyo3::prelude::*;

/// What ends a call.
pub enum Failure {
    /// An error of the library.
    Own(Error),
    /// An exception, such as `KeyboardInterrupt`.
    Python(PyErr),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Own(error) => Python::attach(|py| exception(py, &error)),
            Failure::Python(error) => error,
        }
    }
}

/// The exception for an error of the library.
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let made = || {
        let class = py.import("orthoformer._errors")?.getattr(class_of(error))?;
        let exception = class.call1((error.to_string(),))?;
        if let Error::File { path, source, .. } = error {
            exception.setattr("filename", path.as_os_str())?;
            exception.setattr("errno", source.raw_os_error())?;
        }
        Ok(PyErr::from_value(exception))
    };
    made().unwrap_or_else(|error| error)
}

/// The name of its class.
fn class_of(error: &Error) -> &'static str {
    match error {
        Error::File { source, .. } if source.kind() == ErrorKind::NotFound => "MissingFileError",
        Error::File { .. } => "FileError",
        Error::OutOfRange { .. } => "RangeError",
        Error::WrongType { .. } => "ElementTypeError",
        Error::OutOfMemory { .. } => "OutOfMemoryError",
        Error::NoHalf { .. }
        | Error::NoAdapter { .. }
        | Error::AdapterTooSmall { .. }
        | Error::NoDevice { .. }
        | Error::Shader { .. }
        | Error::DeviceLost { .. }
        | Error::ReadCancelled { .. }
        | Error::Device { .. } => "DeviceError",
        _ => "InputError",
    }
}

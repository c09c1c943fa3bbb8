"""What goes in: anything with `__array__` or CPU DLPack becomes float32 in row-major order; what is that already is not copied."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import ElementTypeError, InputError

_CPU = 1  # DLPack's kDLCPU
_CPU_PINNED = 3  # kDLCUDAHost


def as_float32(given: Any, name: str) -> NDArray[np.float32]:
    """The elements of `given` as a contiguous array of float32.

    float32 arrays in row-major order stay where they are; others are copied.
    Raises `InputError` for tensors that require a gradient or are not in host memory, `ElementTypeError` for elements that are no numbers.
    """
    if getattr(given, "requires_grad", False):
        raise InputError(f"{name} requires a gradient, and none is computed here: give {name}.detach(), or work under torch.inference_mode()")
    array = _array_of(given, name)
    if array.dtype.kind not in "fiub":
        raise ElementTypeError(f"{name} has elements of type {array.dtype}; expected floats or integers")
    return np.ascontiguousarray(array, dtype=np.float32) if array.ndim else np.asarray(array, dtype=np.float32)


def _array_of(given: Any, name: str) -> NDArray[Any]:
    if isinstance(given, np.ndarray) or not hasattr(given, "__dlpack__"):
        return np.asarray(given)
    device = given.__dlpack_device__()[0]
    if device not in (_CPU, _CPU_PINNED):
        raise InputError(f"{name} is in the memory of a device (DLPack's type {int(device)}); bring it to the host first, as {name}.cpu() does")
    try:
        return np.from_dlpack(given)
    except (BufferError, TypeError, RuntimeError) as error:
        # NumPy has no such type: bfloat16, say.
        raise ElementTypeError(f"{name} cannot be read ({error}); give {name}.float()") from error

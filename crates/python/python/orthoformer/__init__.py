"""Video transformers and trajectory attention on any GPU: numpy in, labels out.

    import orthoformer as of

    net = of.load("K400_16x4_224.pyth")
    net.classify("clip.mp4", views=(10, 3), top=5)

Everything runs on an `Engine`: the machine's best adapter, or the CPU engine where there is none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._engine import Device, devices
from ._errors import DeviceError, ElementTypeError, Error, FileError, InputError, MissingFileError, OutOfMemoryError, RangeError
from ._native import Engine, Nystrom, Orthoformer, Performer, __version__
from ._network import Attention, Network, Prediction, clips_of, load
from ._operations import Selected, attention, orthoformer_attention, select_prototypes, trajectory_attention

if TYPE_CHECKING:
    from . import ray, torch

__all__ = [
    "Attention", "Device", "DeviceError", "ElementTypeError", "Engine", "Error", "FileError", "InputError", "MissingFileError", "Network",
    "Nystrom", "Orthoformer", "OutOfMemoryError", "Performer", "Prediction", "RangeError", "Selected", "__version__", "attention",
    "clips_of", "devices", "load", "orthoformer_attention", "ray", "select_prototypes", "torch", "trajectory_attention",
]

# They import what `pip install orthoformer` does not bring.
_LAZY = ("ray", "torch")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The extension module. What it takes are float32 arrays in row-major order, as `orthoformer._arrays` makes them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

_Array = NDArray[np.float32]
# Failure, notes, classes with their probabilities for each head, features.
_Row = tuple[Exception | None, list[str], list[list[tuple[int, float]]], _Array | None]

class Engine:
    """A device, the CPU engine, or the CPU reference. One engine serves any number of networks and calls.

    `executor` is "auto" (the GPU; the CPU engine where adapters are software or there is none), "gpu" (whatever adapter there is),
    "cpu" (vector code and threads) or "reference" (plain loops, slow and right).
    `adapter` is a part of the adapter's name, or its index in `devices()`; `backend` "vulkan", "metal", "dx12" or "gl".
    `without` leaves optional features out ("f16,subgroups"); `matrix_units` opens the device with them, for networks stored as "f16".
    Raises `DeviceError` and `InputError`.
    """

    def __new__(
        cls,
        executor: str = "auto",
        *,
        adapter: str | None = None,
        backend: str | None = None,
        without: str | None = None,
        matrix_units: bool = False,
    ) -> Engine: ...
    @property
    def description(self) -> str:
        """Adapter, driver and backend, and whether it was tuned; or what it is on the CPU."""

class Orthoformer:
    """Attention through `prototypes` prototypes (Patrick et al., NeurIPS 2021, algorithm 1).

    `selection` is "greedy", "random", "segment-means", "k-means" or "spherical-k-means"; `candidates` are "queries" or "queries-and-keys".
    Greedy selection has a `criterion`, "sum" or "max", and looks at a `fraction` of the candidates, scaled to length one if `normalise`.
    """

    def __new__(
        cls,
        prototypes: int = 64,
        *,
        selection: str = "greedy",
        criterion: str = "sum",
        candidates: str = "queries",
        per_frame: bool = False,
        normalise: bool = True,
        fraction: float = 1.0,
        iterations: int = 5,
        seed: int = 0,
    ) -> Orthoformer: ...

class Nystrom:
    """Attention through means of segments and a pseudo-inverse (Xiong et al., AAAI 2021)."""

    def __new__(cls, landmarks: int = 64, *, iterations: int = 6) -> Nystrom: ...

class Performer:
    """Attention through positive random features (Choromanski et al., ICLR 2021)."""

    def __new__(cls, features: int = 256, *, seed: int = 0) -> Performer: ...

_Approximation = Orthoformer | Nystrom | Performer

class Watch(Iterator[_Row]):
    def __iter__(self) -> Watch: ...
    def __next__(self) -> _Row: ...
    def close(self) -> None: ...

class Network:
    def forward(self, video: _Array) -> list[_Array]: ...
    def classify(self, clips: list[str], of_views: tuple[int, int], batch: int | None, top: int) -> Watch: ...
    def features(
        self, clips: list[str], of_views: tuple[int, int], batch: int | None, tokens: str | None, layer: int | None
    ) -> Watch: ...
    def attend(
        self, clip: str, point: tuple[tuple[float, float] | None, int], layer: int | None, head: int | None, rollout: str | None
    ) -> dict[str, Any]: ...
    @property
    def title(self) -> str: ...
    @property
    def input_axes(self) -> str: ...
    @property
    def clip(self) -> tuple[int, int, int]: ...
    @property
    def classes(self) -> list[int]: ...
    @property
    def depth(self) -> int: ...
    @property
    def labels(self) -> list[list[str] | None]: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def device_bytes(self) -> int: ...
    def fingerprint(self) -> str: ...

def devices(backend: str | None = None) -> list[dict[str, Any]]: ...
def clips_of(paths: list[str]) -> list[str]: ...
def load(
    engine: Engine, path: str, storage: str, tolerant: bool, label_files: list[str], said: dict[str, Any]
) -> Network: ...
def trajectory_attention(
    engine: Engine, q: _Array, k: _Array, v: _Array, frames: int, approximation: _Approximation | None = None
) -> _Array: ...
def attention(engine: Engine, q: _Array, k: _Array, v: _Array, approximation: _Approximation | None = None) -> _Array: ...
def select_prototypes(engine: Engine, x: _Array, prototypes: Orthoformer) -> tuple[_Array, _Array | None]: ...

"""Engines, and the one that is taken where none is given."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from . import _native
from ._native import Engine

_opened: dict[str, Engine] = {}
_opening = threading.Lock()


def engine_of(executor: str | Engine) -> Engine:
    """The engine that is meant: one that is given, or the one of this name, which is opened once a process."""
    if isinstance(executor, Engine):
        return executor
    with _opening:
        if executor not in _opened:
            _opened[executor] = Engine(executor)
        return _opened[executor]


@dataclass(frozen=True)
class Device:
    """An adapter of this machine."""

    name: str
    backend: str
    """Graphics API."""
    kind: str
    """"discrete gpu", "integrated gpu", "virtual gpu", "cpu" or "other"."""
    driver: str
    unusable: str | None
    """Why kernels do not run on it; `None` if they do."""
    float16: bool
    subgroups: bool
    limits: dict[str, int]
    """Limits by their names in WebGPU."""


def devices(backend: str | None = None) -> list[Device]:
    """The adapters of this machine, best first; none where there is no driver. Those of OpenGL with `backend="gl"`."""
    return [Device(**fields) for fields in _native.devices(backend)]

"""What tests share: engines, the repository's small networks and clips, cases with the answers of the networks' own libraries."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import orthoformer as of
import pytest

ROOT = Path(__file__).resolve().parents[3]
CLIPS = ROOT / "tests/clips"
NETWORKS = ROOT / "crates/cli/shipped/networks"
BALL = ROOT / "crates/models/assets/ball.safetensors"
BALL_CLASSES = ROOT / "crates/models/assets/ball_classes.json"


def tensors(path: Path) -> dict[str, np.ndarray]:
    """The float32 tensors of a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])

    def tensor(entry: dict) -> np.ndarray:
        first, last = entry["data_offsets"]
        return np.frombuffer(data[8 + length + first : 8 + length + last], np.float32).reshape(entry["shape"])

    return {name: tensor(entry) for name, entry in header.items() if name != "__metadata__" and entry["dtype"] == "F32"}


@pytest.fixture(scope="session", params=["gpu", "cpu", "reference"])
def engine(request: pytest.FixtureRequest) -> of.Engine:
    """The machine's best adapter, where there is one, the CPU engine, and the reference."""
    if request.param == "gpu" and not of.devices():
        pytest.skip("there is no adapter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return of.Engine(request.param)


@pytest.fixture(scope="session")
def ball(engine: of.Engine) -> of.Network:
    """The network that names the motion of a ball."""
    return of.load(BALL, executor=engine, labels=BALL_CLASSES)


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 2e-5) -> None:
    """Fails unless values are equal to a tolerance, relative to the largest; NaN is equal to nothing."""
    assert found.shape == expected.shape
    worst = np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), 1e-12)
    assert worst <= tolerance, f"{worst} of the largest value"

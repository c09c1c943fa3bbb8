"""Networks on Ray Data: paths of clips in, labels or features out. `pip install orthoformer[ray]` brings what it needs.

    import orthoformer as of
    import ray

    clips = ray.data.from_items([{"path": path} for path in of.clips_of("clips")])
    found = clips.map_batches(of.ray.Clips, fn_constructor_kwargs={"weights": "K400_16x4_224.pyth"}, batch_format="pyarrow", concurrency=2)
    found.write_parquet("results")
"""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa
import ray

from ._engine import Device, devices
from ._errors import InputError
from ._native import Engine
from ._network import load

# What is asked for of clips.
TASKS = ("classify", "features")


class Clips:
    """A network for `Dataset.map_batches` over paths, with `batch_format="pyarrow"`: an actor has one, and decodes clips beside its device.

    On a machine with several GPUs it takes the one that Ray gives the actor, by its number.
    It adds columns to a batch. For the task "classify" these are `labels`, `probabilities` and `classes`, lists with the likeliest first (with a 1 after
    their names for the second head of a network that has two); for "features" they are `features`, all values of `shape`, row by row.
    `error` says why a clip could not be decoded; then the others are null.
    Arguments beside these are those of `orthoformer.load`.
    """

    def __init__(
        self,
        weights: str,
        *,
        column: str = "path",
        task: str = "classify",
        views: tuple[int, int] = (1, 1),
        top: int = 5,
        tokens: str | None = None,
        layer: int | None = None,
        batch: int | None = None,
        executor: str = "auto",
        **options: Any,
    ) -> None:
        if task not in TASKS:
            raise InputError(f"task: {task!r} is not valid; expected one of {', '.join(TASKS)}")
        _keep_to_own_cores()
        adapter = _own_adapter() if executor in ("auto", "gpu") else None
        self._network = load(weights, executor=executor if adapter is None else Engine("gpu", adapter=adapter), **options)
        self._column, self._task = column, task
        self._classify: dict[str, Any] = {"views": views, "top": top, "batch": batch}
        self._features: dict[str, Any] = {"views": views, "tokens": tokens, "layer": layer, "batch": batch}

    def __call__(self, batch: pa.Table) -> pa.Table:
        paths = batch.column(self._column).to_pylist()
        if self._task == "features":
            found = self._network.features(paths, errors="return", **self._features)
            columns = _feature_columns(found)
        else:
            found = self._network.classify(paths, errors="return", **self._classify)
            columns = _label_columns(found, len(self._network.classes))
        errors = [str(made) if isinstance(made, Exception) else None for made in found]
        for name, values in {"error": pa.array(errors, pa.string()), **columns}.items():
            batch = batch.append_column(name, values)
        return batch


def _label_columns(found: list[Any], heads: int) -> dict[str, pa.Array]:
    columns = {}
    for head in range(heads):
        of_head = [None if isinstance(made, Exception) else made if heads == 1 else made[head] for made in found]

        def values(field: str, kind: pa.DataType, of_head: list[Any] = of_head) -> pa.Array:
            rows = [None if guesses is None else [getattr(guess, field) for guess in guesses] for guesses in of_head]
            return pa.array(rows, pa.list_(kind))

        number = str(head) if head else ""
        columns["labels" + number] = values("label", pa.string())
        columns["probabilities" + number] = values("probability", pa.float64())
        columns["classes" + number] = values("class_index", pa.int32())
    return columns


def _feature_columns(found: list[Any]) -> dict[str, pa.Array]:
    made = [None if isinstance(array, Exception) else array for array in found]
    flat = [None if array is None else array.ravel() for array in made]
    shapes = [None if array is None else list(array.shape) for array in made]
    return {"features": pa.array(flat, pa.list_(pa.float32())), "shape": pa.array(shapes, pa.list_(pa.int32()))}


def _keep_to_own_cores() -> None:
    """Mesa's software driver takes all cores of a machine. Ray tells an actor how many are its own."""
    own = os.environ.get("OMP_NUM_THREADS")
    if own:
        os.environ.setdefault("LP_NUM_THREADS", own)


def _own_adapter() -> str | None:
    """Index of the adapter that is the actor's; `None` if Ray gives it no GPU."""
    given = ray.get_runtime_context().get_accelerator_ids().get("GPU") if ray.is_initialized() else None
    return _adapter_of(int(given[0]), devices()) if given else None


def _adapter_of(number: int, found: list[Device]) -> str | None:
    """Index of a GPU among all adapters, by its number among GPUs; each is counted once, though it may have several APIs."""
    usable = [(index, device) for index, device in enumerate(found) if device.kind.endswith("gpu") and device.unusable is None]
    gpus = [index for index, device in usable if device.backend == usable[0][1].backend]
    return str(gpus[number % len(gpus)]) if gpus else None

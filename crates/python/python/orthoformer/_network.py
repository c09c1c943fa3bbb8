"""Networks: checkpoints in, labels, tokens and attention out."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arrays import as_float32
from ._engine import engine_of
from ._errors import Error, InputError
from ._operations import Approximation

PathLike = str | os.PathLike[str]
# Clips that are taken from an iterator at a time: their decoding overlaps, and the iterator may be endless.
_TOGETHER = 16


class Prediction(NamedTuple):
    """A class that a network names."""

    label: str
    """Its name; "class 7" where names are not known."""
    probability: float
    """The mean of all views."""
    class_index: int
    """Its number, from 0."""


# Of a network with one head a list, the likeliest first; of one with several a tuple of such lists.
Predictions = list[Prediction] | tuple[list[Prediction], ...]


@dataclass(frozen=True)
class Attention:
    """What a patch of a clip attends to in a network, in each of `F` frames of patches. With trajectory attention that is its trajectory."""

    weights: NDArray[np.float32]
    """Weights of patches `[F, rows, columns]`; those of a frame add up to one."""
    shares: NDArray[np.float64]
    """Share of each frame `[F]`; all together are one."""
    centroids: NDArray[np.float64]
    """Mean position under the weights `[F, 2]`: x and y, pixels of the clip."""
    peaks: NDArray[np.float64]
    """Patch with the largest weight `[F, 2]`: column and row."""
    by_construction: list[bool]
    """Frames whose weights the kind of attention alone decides `[F]`."""
    frames: list[int]
    """Numbers of the frames that the network sees `[T]`; `T / F` of them are a frame of patches."""
    pictures: NDArray[np.uint8]
    """What the network sees `[T, height, width, 3]`."""
    overlay: NDArray[np.uint8]
    """The same with the attention drawn over it: heat, a ring round the centroid, a cross on the peak, a box round the patch."""
    at: tuple[float, float]
    """The point, pixels of the clip."""
    frame: int
    """The frame that the point is in."""
    patch: tuple[int, int]
    """Column and row of the patch."""
    step: int
    """The frame of patches that it is in."""
    layer: int
    """The block, from 0."""
    size: tuple[int, int]
    """Width and height of the clip, pixels."""
    notes: list[str]
    """What to know about it, as whole sentences."""


class Network:
    """A network with its weights, made by `load`. Calls from several threads take turns."""

    def __init__(self, native: _native.Network, engine: _native.Engine, path: str) -> None:
        self._native = native
        self.engine = engine
        """The engine that it runs on."""
        self.path = path
        """Its checkpoint."""

    def __repr__(self) -> str:
        return f"<orthoformer.Network {self.title} from {self.path}, on {self.engine.description}>"

    @property
    def title(self) -> str:
        """Name and kind of attention."""
        return self._native.title

    @property
    def input_axes(self) -> str:
        """Axes of the videos that it is called with: "B3FHW", "BF3HW" (as transformers has them) or "B3HW"."""
        return self._native.input_axes

    @property
    def clip(self) -> tuple[int, int, int]:
        """Frames, height and width of the clips that it sees."""
        return self._native.clip

    @property
    def classes(self) -> list[int]:
        """Number of classes of each head; none without a classifier."""
        return self._native.classes

    @property
    def labels(self) -> list[list[str] | None]:
        """Names of the classes of each head; `None` where they are not known."""
        return self._native.labels

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self._native.depth

    @property
    def notes(self) -> list[str]:
        """How the checkpoint was read, and what is taken for granted, as whole sentences."""
        return self._native.notes

    @property
    def device_bytes(self) -> int:
        """Bytes on the device: weights, and memory that is kept for later calls."""
        return self._native.device_bytes

    def fingerprint(self) -> str:
        """Fingerprint of the checkpoint's tensors: the same for the same tensors in another file."""
        return self._native.fingerprint()

    def __call__(self, video: Any) -> NDArray[np.float32] | tuple[NDArray[np.float32], ...]:
        """Logits `[B, classes]` of videos that are normalised already, with the axes of `input_axes`; of several heads a tuple.

        Raises `InputError` for other shapes, and for networks without a classifier.
        """
        logits = self._native.forward(as_float32(video, "video"))
        return logits[0] if len(logits) == 1 else tuple(logits)

    def classify(
        self,
        clips: PathLike | Iterable[PathLike],
        *,
        views: tuple[int, int] = (1, 1),
        top: int = 5,
        batch: int | None = None,
        errors: str = "raise",
    ) -> Any:
        """The likeliest classes: of one clip, of a list of them as a list, of an iterator as an iterator.

        Of a clip they are a list, the likeliest first; of a network with several heads a tuple of lists.
        `views` are temporal and spatial (1 or 3), `batch` is how many of them go through the network together.
        With `errors="return"` the exception stands in place of the predictions of a clip that cannot be decoded.
        Raises `InputError`, `FileError` and `DeviceError`.
        """

        def look(paths: list[str]) -> _native.Watch:
            return self._native.classify(paths, views, batch, top)

        def made(row: Any) -> Predictions:
            heads = tuple([self._prediction(number, *best) for best in ranked] for number, ranked in enumerate(row[2]))
            return heads[0] if len(heads) == 1 else heads

        return _one_or_many(clips, look, made, errors)

    def features(
        self,
        clips: PathLike | Iterable[PathLike],
        *,
        tokens: str | None = None,
        layer: int | None = None,
        views: tuple[int, int] = (1, 1),
        batch: int | None = None,
        errors: str = "raise",
    ) -> Any:
        """Tokens of clips, for one, a list or an iterator as `classify` has them.

        `tokens` is "class" `[views, C]`, "patches" `[views, F, Y, X, C]`, "mean" `[views, C]` or "all" `[views, 1+N, C]`; by default "class", or
        "patches" where there is no class token. `layer` is the block after which they are taken, from 0; by default the end.
        Raises `InputError`, `RangeError`, `FileError` and `DeviceError`.
        """

        def look(paths: list[str]) -> _native.Watch:
            return self._native.features(paths, views, batch, tokens, layer)

        return _one_or_many(clips, look, lambda row: row[3], errors)

    def attend(
        self,
        clip: PathLike,
        *,
        at: tuple[float, float] | None = None,
        frame: int = 0,
        layer: int | None = None,
        head: int | None = None,
        rollout: str | None = None,
    ) -> Attention:
        """What the patch at a point attends to.

        `at` is x and y in pixels of the clip, by default the centre, in the frame `frame`; `layer` a block from 0, by default the last; `head` a head, by
        default the mean of all. `rollout` rolls attention out to the first block: of "patch" or "class".
        Raises `InputError`, `RangeError`, `FileError` and `DeviceError`.
        """
        return Attention(**self._native.attend(os.fspath(clip), (at, frame), layer, head, rollout))

    def _prediction(self, head: int, index: int, probability: float) -> Prediction:
        names = self.labels[head]
        return Prediction(names[index] if names else f"class {index}", probability, index)


def load(
    path: PathLike,
    *,
    executor: str | _native.Engine = "auto",
    labels: PathLike | Sequence[Any] | None = None,
    storage: str = "f32",
    tolerant: bool = False,
    preset: str | None = None,
    heads: int | None = None,
    frames: int | None = None,
    crop: int | None = None,
    sampling_rate: int | None = None,
    segments: bool | None = None,
    reversed_channels: bool = False,
    temporal_value: str | None = None,
    head_activation: str | None = None,
    approximation: Approximation | None = None,
) -> Network:
    """Loads a network: a checkpoint of PyTorch, a safetensors file, or a folder as `save_pretrained` leaves it.

    `executor` is an `Engine`, or "auto", "gpu", "cpu" or "reference": then an engine is opened once a process.
    `labels` names the classes: a file, or a list of names; for several heads a list of them.
    `storage` is "f32" or "f16"; `tolerant` shows what can be decoded of damaged clips, which are refused otherwise.
    The rest says what a checkpoint leaves open, and counts more than what it says: `preset` is "motionformer-b", "motionformer-l" or
    "motionformer-hr", and `approximation` an `Orthoformer`, `Nystrom` or `Performer` for trajectory attention.
    Raises `MissingFileError`, and `InputError` for what is no checkpoint of a known network, or leaves something open.
    """
    said = dict(
        preset=preset, heads=heads, frames=frames, crop=crop, sampling_rate=sampling_rate, segments=segments,
        reversed_channels=reversed_channels, temporal_value=temporal_value, head_activation=head_activation, approximation=approximation,
    )
    engine = engine_of(executor)
    with tempfile.TemporaryDirectory() as folder:
        files = _label_files(labels, Path(folder))
        native = _native.load(engine, os.fspath(path), storage, tolerant, files, said)
    return Network(native, engine, os.fspath(path))


def clips_of(path: PathLike) -> list[str]:
    """The clips of a folder of clips, in the order of their names; a clip itself."""
    return [os.fspath(clip) for clip in _native.clips_of([os.fspath(path)])]


def _label_files(labels: Any, folder: Path) -> list[str]:
    """Names become files, which are checked like any others."""
    if labels is None:
        return []
    if isinstance(labels, (str, os.PathLike)):
        return [os.fspath(labels)]
    given = list(labels)
    # Names of one head, unless there is a list in the list, or paths.
    heads = given if any(not isinstance(entry, str) for entry in given) else [given]
    files = []
    for number, head in enumerate(heads):
        if isinstance(head, (str, os.PathLike)):
            files.append(os.fspath(head))
            continue
        file = folder / f"labels of head {number}"
        file.write_text(json.dumps([str(name) for name in head]), encoding="utf-8")
        files.append(os.fspath(file))
    return files


def _one_or_many(clips: Any, look: Callable[[list[str]], _native.Watch], made: Callable[[Any], Any], errors: str) -> Any:
    if errors not in ("raise", "return"):
        raise InputError(f"errors: {errors!r} is not valid; expected raise or return")
    if isinstance(clips, (str, os.PathLike)):
        return next(_each([clips], look, made, errors))
    if isinstance(clips, Sequence):
        return list(_each(clips, look, made, errors))
    return _lazily(iter(clips), look, made, errors)


def _each(clips: Iterable[PathLike], look: Any, made: Any, errors: str) -> Iterator[Any]:
    watch = look([os.fspath(clip) for clip in clips])
    try:
        for row in watch:
            failure: Error | None = row[0]
            if failure is not None and errors == "raise":
                raise failure
            yield made(row) if failure is None else failure
    finally:
        watch.close()


def _lazily(clips: Iterator[PathLike], look: Any, made: Any, errors: str) -> Iterator[Any]:
    while paths := list(islice(clips, _TOGETHER)):
        yield from _each(paths, look, made, errors)

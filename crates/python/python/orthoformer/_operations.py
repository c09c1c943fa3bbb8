"""Operations on arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arrays import as_float32
from ._engine import engine_of

Approximation = _native.Orthoformer | _native.Nystrom | _native.Performer


def trajectory_attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    frames: int,
    approximation: Approximation | None = None,
    executor: str | _native.Engine = "auto",
) -> NDArray[np.float32]:
    """Trajectory tokens `[B,H,N,F,D]` of `q`, `k`, `v` `[B,H,N,D]`, whose `N` tokens are those of `frames` frames, one frame after the other.

    `tokens[b,h,n,f] = sum_s softmax_s(q_n . k_{f,s} / sqrt D) v_{f,s}` (Patrick et al., NeurIPS 2021, equation 3).
    Raises `InputError` for shapes that do not fit.
    """
    arrays = (as_float32(q, "q"), as_float32(k, "k"), as_float32(v, "v"))
    return _native.trajectory_attention(engine_of(executor), *arrays, frames, approximation)


def attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    approximation: Approximation | None = None,
    executor: str | _native.Engine = "auto",
) -> NDArray[np.float32]:
    """Attention `[B,H,N,D]` of `q`, `k`, `v` `[B,H,N,D]` over all tokens: `softmax(q k^T / sqrt D) v`.

    Raises `InputError` for shapes that do not fit.
    """
    arrays = (as_float32(q, "q"), as_float32(k, "k"), as_float32(v, "v"))
    return _native.attention(engine_of(executor), *arrays, approximation)


def orthoformer_attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    prototypes: int | _native.Orthoformer = 64,
    executor: str | _native.Engine = "auto",
) -> NDArray[np.float32]:
    """Attention `[B,H,N,D]` through prototypes (Patrick et al., NeurIPS 2021, algorithm 1): so many, or as `Orthoformer` says.

    Raises `InputError` for shapes that do not fit.
    """
    return attention(q, k, v, approximation=_orthoformer(prototypes), executor=executor)


class Selected(NamedTuple):
    """Prototypes, and which rows they are."""

    prototypes: NDArray[np.float32]
    """`[G,R,D]`."""
    indices: NDArray[np.int64] | None
    """Numbers of the rows `[G,R]` of a greedy selection; `None` for others."""


def select_prototypes(x: Any, prototypes: int | _native.Orthoformer, *, executor: str | _native.Engine = "auto") -> Selected:
    """Prototypes of groups of rows `x [G,N,D]`, or of one group `[N,D]`: then without the axis of groups.

    Raises `InputError` for sizes that do not fit.
    """
    rows = as_float32(x, "x")
    is_one = rows.ndim == 2
    found, indices = _native.select_prototypes(engine_of(executor), rows[None] if is_one else rows, _orthoformer(prototypes))
    numbers = None if indices is None else indices.astype(np.int64)
    if is_one:
        found, numbers = found[0], None if numbers is None else numbers[0]
    return Selected(found, numbers)


def _orthoformer(prototypes: int | _native.Orthoformer) -> _native.Orthoformer:
    return prototypes if isinstance(prototypes, _native.Orthoformer) else _native.Orthoformer(prototypes)

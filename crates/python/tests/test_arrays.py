"""What goes in."""

from __future__ import annotations

import array
import gc
import weakref

import numpy as np
import orthoformer as of
import pytest
from orthoformer._arrays import as_float32


def test_float32_in_order_is_not_copied() -> None:
    given = np.ones((2, 3), np.float32)
    assert as_float32(given, "x") is given or np.shares_memory(as_float32(given, "x"), given)


@pytest.mark.parametrize("given", [
    np.arange(12.0).reshape(3, 4),
    np.arange(12, dtype=np.uint8).reshape(3, 4),
    np.arange(12, dtype=np.float16).reshape(3, 4),
    np.arange(12, dtype=">f4").reshape(3, 4),
    np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    np.arange(24, dtype=np.float32).reshape(3, 8)[:, ::2] / 2,
    np.arange(12, dtype=np.float32).reshape(3, 4)[::-1][::-1],
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]],
])
def test_other_arrays_become_float32_in_order(given: object) -> None:
    found = as_float32(given, "x")
    assert found.dtype == np.float32 and found.dtype.isnative and found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.arange(12.0).reshape(3, 4))


class Dlpack:
    """Something that has DLPack alone."""

    def __init__(self, values: np.ndarray, device: int = 1) -> None:
        self._values, self._device = values, device

    def __dlpack__(self, **options: object) -> object:
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device, 0


def test_dlpack_is_read_where_it_is() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.shares_memory(as_float32(Dlpack(values), "x"), values)


def test_what_cannot_be_read_is_refused_in_words() -> None:
    with pytest.raises(of.InputError, match="x is in the memory of a device"):
        as_float32(Dlpack(np.ones(3, np.float32), device=2), "x")
    for given in (np.array(["a"]), np.array([1j]), np.array([None])):
        with pytest.raises(of.ElementTypeError, match="x has elements of type"):
            as_float32(given, "x")

    class Tensor:
        requires_grad = True

    with pytest.raises(of.InputError, match="detach"):
        as_float32(Tensor(), "x")


def test_other_buffers_go_in(engine: of.Engine) -> None:
    buffer = memoryview(array.array("f", [0.5] * 16)).cast("B").cast("f", (1, 1, 4, 4))
    found = of.attention(buffer, buffer, buffer, executor=engine)
    np.testing.assert_allclose(found, 0.5, rtol=1e-6)


def test_arrays_are_let_go(engine: of.Engine) -> None:
    q = np.full((1, 1, 4, 4), 0.5, np.float32)
    before = q.copy()
    found = of.attention(q, q, q, executor=engine)
    np.testing.assert_array_equal(q, before)
    found += 1
    let_go = weakref.ref(q)
    del q
    gc.collect()
    assert let_go() is None

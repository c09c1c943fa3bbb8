"""Operations against their formulas in float64."""

from __future__ import annotations

import numpy as np
import orthoformer as of
import pytest
from conftest import close


def operands(*shape: int) -> list[np.ndarray]:
    random = np.random.default_rng(sum(shape))
    return [random.standard_normal(shape).astype(np.float32) for _ in range(3)]


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def formula(q: np.ndarray, k: np.ndarray, v: np.ndarray, frames: int) -> np.ndarray:
    """`[B,H,N,F,D]` by equation 3."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    batch, heads, tokens, size = q.shape
    scores = (q @ k.swapaxes(-1, -2) / np.sqrt(size)).reshape(batch, heads, tokens, frames, tokens // frames)
    return np.einsum("bhnfs,bhfsd->bhnfd", softmax(scores), v.reshape(batch, heads, frames, tokens // frames, size))


@pytest.mark.parametrize(("shape", "frames"), [((1, 1, 1, 1), 1), ((2, 3, 12, 7), 4), ((1, 2, 65, 64), 5), ((3, 1, 34, 33), 17)])
def test_trajectory_tokens_are_those_of_the_formula(engine: of.Engine, shape: tuple[int, ...], frames: int) -> None:
    q, k, v = operands(*shape)
    close(of.trajectory_attention(q, k, v, frames=frames, executor=engine), formula(q, k, v, frames))


def test_a_wrong_answer_is_noticed(engine: of.Engine) -> None:
    q, k, v = operands(1, 2, 12, 8)
    found = of.trajectory_attention(q, k, v, frames=3, executor=engine)
    with pytest.raises(AssertionError):
        close(found, formula(q, k, v, 4).reshape(1, 2, 12, 4, 8)[:, :, :, :3])
    with pytest.raises(AssertionError):
        close(np.where(found == found.max(), np.nan, found), formula(q, k, v, 3))


def test_attention_is_that_of_the_formula(engine: of.Engine) -> None:
    q, k, v = operands(2, 2, 33, 20)
    close(of.attention(q, k, v, executor=engine), formula(q, k, v, 1)[:, :, :, 0])


def test_all_tokens_as_prototypes_are_nearly_the_softmax_of_a_softmax(engine: of.Engine) -> None:
    q, k, v = (x.astype(np.float64) for x in operands(1, 2, 16, 8))
    found, picks = of.select_prototypes(q[0], of.Orthoformer(5, criterion="max", seed=3), executor=engine)
    assert found.shape == (2, 5, 8)
    assert picks is not None and picks.dtype == np.int64
    for head in range(2):
        assert len(set(picks[head])) == 5
        np.testing.assert_array_equal(found[head], q[0, head].astype(np.float32)[picks[head]])
    chosen = of.Orthoformer(5, criterion="max", seed=3)
    p = found[None].astype(np.float64)
    seen = softmax(p @ k.swapaxes(-1, -2) / np.sqrt(8)) @ v
    expected = softmax(q @ p.swapaxes(-1, -2) / np.sqrt(8)) @ seen
    close(of.orthoformer_attention(q, k, v, prototypes=chosen, executor=engine), expected)
    close(of.attention(q, k, v, approximation=chosen, executor=engine), expected)


def test_one_group_has_no_axis_of_groups(engine: of.Engine) -> None:
    rows = operands(3, 20, 6)[0]
    all_groups = of.select_prototypes(rows, of.Orthoformer(4, selection="segment-means"), executor=engine)
    assert all_groups.indices is None
    one = of.select_prototypes(rows[1], of.Orthoformer(4, selection="segment-means"), executor=engine)
    np.testing.assert_array_equal(one.prototypes, all_groups.prototypes[1])


@pytest.mark.parametrize("approximation", [of.Orthoformer(6), of.Nystrom(6), of.Performer(16, seed=2)])
def test_approximations_are_of_the_right_shape(engine: of.Engine, approximation: object) -> None:
    q, k, v = operands(1, 2, 24, 8)
    found = of.trajectory_attention(q, k, v, frames=3, approximation=approximation, executor=engine)
    assert found.shape == (1, 2, 24, 3, 8)
    assert np.isfinite(found).all()
    assert not np.allclose(found, formula(q, k, v, 3), atol=1e-4)


def test_what_does_not_fit_is_refused(engine: of.Engine) -> None:
    q, k, v = operands(1, 2, 12, 8)
    for error, words, call in [
        (of.InputError, "not a multiple of frames = 5", lambda: of.trajectory_attention(q, k, v, frames=5, executor=engine)),
        (of.InputError, "frames is 0", lambda: of.trajectory_attention(q, k, v, frames=0, executor=engine)),
        (of.InputError, r"tensor \"q\" has shape \[2, 12, 8\]", lambda: of.attention(q[0], k, v, executor=engine)),
        (of.InputError, r"tensor \"k\" has shape", lambda: of.attention(q, k[:, :, :5], v, executor=engine)),
        (of.InputError, "one of greedy, random", lambda: of.Orthoformer(4, selection="best")),
        (of.InputError, "prototypes is 13", lambda: of.select_prototypes(q[0], 13, executor=engine)),
    ]:
        with pytest.raises(error, match=words):
            call()

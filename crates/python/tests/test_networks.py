"""Networks on arrays and clips."""

from __future__ import annotations

import itertools
import pickle
import threading
from pathlib import Path

import numpy as np
import orthoformer as of
import pytest
from conftest import BALL, BALL_CLASSES, CLIPS, NETWORKS, close, tensors

CLIP = CLIPS / "ball.gif"


@pytest.mark.parametrize("name", ["timesformer_divided_space_time", "timesformer_joint_space_time", "vivit", "vjepa2"])
def test_logits_are_those_of_the_networks_own_library(engine: of.Engine, name: str) -> None:
    case = tensors(NETWORKS / name / "case.safetensors")
    net = of.load(NETWORKS / name, executor=engine)
    assert net.input_axes == "BF3HW"
    close(net(case["input"]), case["expected.logits"], 1e-4)


def test_a_clip_is_named(ball: of.Network) -> None:
    guesses = ball.classify(CLIP)
    assert [guess.label for guess in guesses[:2]] == ["down", "clockwise"]
    assert len(guesses) == 5 and guesses[0].class_index == ball.labels[0].index("down")
    assert guesses[0].probability == pytest.approx(0.899, abs=2e-3)
    assert sum(guess.probability for guess in ball.classify(CLIP, top=1000)) == pytest.approx(1)
    views = ball.classify(str(CLIP), top=1000, views=(2, 3))
    assert views != ball.classify(CLIP, top=1000) and sum(guess.probability for guess in views) == pytest.approx(1)


def test_lists_come_back_as_lists_and_iterators_as_iterators(ball: of.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orthoformer._network._TOGETHER", 2)
    one = ball.classify(CLIP, top=2)
    assert ball.classify([CLIP, str(CLIP)], top=2) == [one, one]
    assert ball.classify([], top=2) == []
    endless = ball.classify(itertools.repeat(CLIP), top=2)
    assert list(itertools.islice(endless, 3)) == [one] * 3
    endless.close()


def test_a_clip_that_fails_says_why(ball: of.Network, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes((CLIPS / "ball.mp4").read_bytes()[:700])
    with pytest.raises(of.InputError, match="damaged.mp4"):
        ball.classify(damaged)
    with pytest.raises(FileNotFoundError, match="no_such.mp4") as raised:
        ball.classify([CLIP, tmp_path / "no_such.mp4"])
    assert isinstance(raised.value, of.Error) and raised.value.errno == 2 and raised.value.filename.endswith("no_such.mp4")
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    found = ball.classify([damaged, CLIP, tmp_path / "no_such.mp4"], errors="return")
    assert [type(made).__name__ for made in found] == ["InputError", "list", "MissingFileError"]


def test_features_have_their_axes(ball: of.Network) -> None:
    class_token = ball.features(CLIP)
    everything = ball.features(CLIP, tokens="all", views=(2, 1))
    patches = ball.features(CLIP, tokens="patches", views=(2, 1))
    channels = class_token.shape[-1]
    assert class_token.shape == (1, channels) and everything.shape[0] == 2 and patches.ndim == 5
    np.testing.assert_array_equal(everything[:, 1:], patches.reshape(2, -1, channels))
    close(ball.features(CLIP, tokens="mean", views=(2, 1)), patches.reshape(2, -1, channels).mean(1), 1e-5)
    assert not np.allclose(ball.features(CLIP, layer=0), class_token)
    assert [made.shape for made in ball.features([CLIP, CLIP])] == [(1, channels)] * 2
    with pytest.raises(IndexError, match="layer 99"):
        ball.features(CLIP, layer=99)
    with pytest.raises(of.InputError, match="one of class, patches, mean, all"):
        ball.features(CLIP, tokens="some")


def test_a_point_is_followed(ball: of.Network) -> None:
    found = ball.attend(CLIP, at=(30, 20), frame=0)
    steps = len(found.weights)
    assert found.at == (30, 20) and found.shares.shape == (steps,) and found.centroids.shape == (steps, 2)
    np.testing.assert_allclose(found.weights.sum((1, 2)), 1, rtol=1e-4)
    assert found.shares.sum() == pytest.approx(1, rel=1e-4)
    assert found.pictures.shape == found.overlay.shape == (len(found.frames), *found.pictures.shape[1:3], 3)
    assert found.pictures.dtype == np.uint8 and (found.pictures != found.overlay).any()
    for peak, weights in zip(found.peaks, found.weights, strict=True):
        assert weights[int(peak[1]), int(peak[0])] == weights.max()
    with pytest.raises(of.InputError, match="outside the picture"):
        ball.attend(CLIP, at=(6000, 50))
    with pytest.raises(of.InputError, match="one of patch, class"):
        ball.attend(CLIP, rollout="all")


def test_several_networks_and_threads_share_an_engine(engine: of.Engine, ball: of.Network) -> None:
    other = of.load(NETWORKS / "vivit", executor=engine)
    case = tensors(NETWORKS / "vivit" / "case.safetensors")
    expected = ball.classify(CLIP)
    wrong: list[object] = []

    def work() -> None:
        try:
            assert ball.classify(CLIP) == expected
            close(other(case["input"]), case["expected.logits"], 1e-4)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong and other.engine is ball.engine is engine


def test_videos_of_another_shape_are_refused(ball: of.Network) -> None:
    frames, height, width = ball.clip
    assert ball.input_axes == "B3FHW" and ball(np.zeros((2, 3, frames, height, width))).shape == (2, ball.classes[0])
    with pytest.raises(of.InputError, match=r"expected \[batch, 3, frames, height, width\]"):
        ball(np.zeros((1, 4, frames, height, width)))
    with pytest.raises(of.InputError, match="size of frames|clip"):
        ball(np.zeros((1, 3, frames, height, width + 16)))
    with pytest.raises(of.InputError, match=r"tensor \"clip\" has shape"):
        ball(np.zeros((1, 3, 2 * frames, height, width)))


def test_labels_may_be_given(engine: of.Engine) -> None:
    unnamed = of.load(BALL, executor=engine)
    count = unnamed.classes[0]
    names = [f"way {number}" for number in range(count)]
    named = of.load(BALL, executor=engine, labels=names)
    assert named.labels == [names] and named.classify(CLIP)[0].label.startswith("way ")
    assert of.load(BALL, executor=engine, labels=[BALL_CLASSES]).labels == of.load(BALL, executor=engine, labels=str(BALL_CLASSES)).labels
    with pytest.raises(of.InputError, match=f"{count - 1} labels for a head of {count} classes"):
        of.load(BALL, executor=engine, labels=names[1:])
    with pytest.raises(of.InputError, match="1: one for each head"):
        of.load(BALL, executor=engine, labels=[BALL_CLASSES, BALL_CLASSES])


def test_what_is_no_checkpoint_is_refused(engine: of.Engine, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        of.load(tmp_path / "no_such.pyth", executor=engine)
    (tmp_path / "text.pyth").write_text("no checkpoint")
    with pytest.raises(ValueError, match="text.pyth"):
        of.load(tmp_path / "text.pyth", executor=engine)
    for options in ({"storage": "f8"}, {"preset": "motionformer-x"}):
        with pytest.raises(of.InputError, match="expected one of"):
            of.load(BALL, executor=engine, **options)
    with pytest.raises(of.InputError, match="auto, gpu, cpu or reference"):
        of.load(BALL, executor="tpu")


def test_engines_and_devices_say_what_they_are(engine: of.Engine) -> None:
    assert engine.description in repr(engine)
    for device in of.devices():
        assert device.name and device.backend and device.limits
    with pytest.raises(of.InputError, match="no adapter matches|no GPU adapter"):
        of.Engine("gpu", adapter="no such adapter")

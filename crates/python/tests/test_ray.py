"""Many clips on a cluster of two workers of one CPU each: workers and drivers that die, clips that are damaged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orthoformer as of
import pytest
from conftest import BALL, BALL_CLASSES, CLIPS

ray = pytest.importorskip("ray")
pq = pytest.importorskip("pyarrow.parquet")
from ray.cluster_utils import Cluster  # noqa: E402

PART = 4
DAMAGED = {7: "empty", 23: "cut", 42: "text"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 << 20})
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 short clips, three of them damaged."""
    folder = tmp_path_factory.mktemp("clips")
    whole = (CLIPS / "ball.mp4").read_bytes()
    contents = {"empty": b"", "cut": whole[:700], "text": b"no clip at all"}
    for number in range(60):
        (folder / f"clip{number:02}.mp4").write_bytes(contents[DAMAGED[number]] if number in DAMAGED else whole)
    return folder


def command(cluster: Cluster, clips: Path, out: Path, *more: str) -> list[str]:
    own = ["--weights", str(BALL), "--labels", str(BALL_CLASSES), "--out", str(out), "--part", str(PART), "--address", cluster.address]
    return [sys.executable, "-m", "orthoformer.batch", str(clips), *own, *more]


def check(out: Path) -> None:
    """60 rows, each once and in order, 57 right."""
    files = sorted(out.glob("part-*.parquet"))
    assert len(files) == 60 // PART and not list(out.glob(".*.half"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert [row["id"] for row in rows] == list(range(60))
    expected = of.load(BALL, labels=BALL_CLASSES).classify(CLIPS / "ball.mp4")
    right = 0
    for row in rows:
        assert Path(row["path"]).name == f"clip{row['id']:02}.mp4"
        if row["id"] in DAMAGED:
            assert row["labels"] is None and Path(row["path"]).name in row["error"]
            continue
        assert row["error"] is None and row["labels"] == [guess.label for guess in expected]
        np.testing.assert_allclose(row["probabilities"], [guess.probability for guess in expected], atol=1e-4)
        right += 1
    assert right == 57


def wait_for(what: str, is_there: object, process: subprocess.Popen) -> object:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = is_there()
        if found:
            return found
        assert process.poll() is None, f"it ended ahead of {what}"
        time.sleep(0.05)
    raise AssertionError(f"no {what} in two minutes")


def networks(cluster: Cluster) -> list[int]:
    """Processes of the cluster's own actors that hold networks."""
    raylets = {info.process.pid for node in cluster.worker_nodes for info in node.all_processes["raylet"]}
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            title = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"Clips" in title and title.startswith(b"ray::") and parent in raylets:
            found.append(int(folder.name))
    return found


def test_batches_of_paths_get_labels(cluster: Cluster, clips: Path) -> None:
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        items = [{"path": path, "kept": number} for number, path in enumerate(of.clips_of(clips)[:9])]
        own = {"weights": str(BALL), "labels": str(BALL_CLASSES)}
        made = ray.data.from_items(items).map_batches(
            of.ray.Clips, fn_constructor_kwargs=own, batch_format="pyarrow", concurrency=1, batch_size=3, num_cpus=1
        )
        rows = sorted(made.take_all(), key=lambda row: row["kept"])
        assert [row["error"] is None for row in rows] == [number not in DAMAGED for number in range(9)]
        likeliest = of.load(BALL, labels=BALL_CLASSES).classify(CLIPS / "ball.mp4")[0].label
        assert [row["labels"][0] for row in rows if row["error"] is None] == [likeliest] * 8
        features = ray.data.from_items(items[6:8]).map_batches(
            of.ray.Clips, fn_constructor_kwargs={**own, "task": "features", "tokens": "all"}, batch_format="pyarrow", concurrency=1, num_cpus=1
        )
        whole, damaged = sorted(features.take_all(), key=lambda row: row["kept"])
        expected = of.load(BALL).features(CLIPS / "ball.mp4", tokens="all")
        np.testing.assert_allclose(np.reshape(whole["features"], whole["shape"]), expected, atol=1e-4)
        assert damaged["features"] is None and damaged["error"]
    finally:
        ray.shutdown()


def test_an_actor_takes_its_own_gpu() -> None:
    from orthoformer.ray import _adapter_of

    def device(kind: str, backend: str, unusable: str | None = None) -> of.Device:
        return of.Device(kind, backend, kind, "driver", unusable, True, True, {})

    found = [
        device("discrete gpu", "vulkan"), device("discrete gpu", "vulkan", "too small"), device("discrete gpu", "vulkan"),
        device("discrete gpu", "dx12"), device("cpu", "vulkan"),
    ]
    assert [_adapter_of(number, found) for number in range(3)] == ["0", "2", "0"]
    assert _adapter_of(0, found[4:]) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc")
def test_a_worker_that_dies_changes_nothing(cluster: Cluster, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    with subprocess.Popen(command(cluster, clips, out, "--json"), stdout=subprocess.PIPE, text=True) as process:
        wait_for("part of the results", lambda: list(out.glob("part-*.parquet")), process)
        killed = wait_for("network", lambda: networks(cluster), process)[0]
        os.kill(killed, signal.SIGKILL)
        report = json.loads(process.communicate(timeout=240)[0])
    assert process.returncode == 0
    assert {key: report[key] for key in ("clips", "known", "made", "failed")} == {"clips": 60, "known": 0, "made": 60, "failed": 3}
    assert killed not in networks(cluster)
    check(out)


def test_a_driver_that_dies_is_gone_on_with(cluster: Cluster, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    with subprocess.Popen(command(cluster, clips, out)) as process:
        wait_for("part of the results", lambda: list(out.glob("part-*.parquet")), process)
        process.send_signal(signal.SIGKILL)
    known = {path: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    assert 0 < len(known) < 60 // PART
    # What a driver leaves that dies while it writes.
    (out / ".part-00000014.parquet.half").write_bytes(b"PAR1 and no more")
    done = subprocess.run(command(cluster, clips, out, "--json"), stdout=subprocess.PIPE, text=True, check=True, timeout=240)
    report = json.loads(done.stdout)
    assert report["known"] == len(known) * PART and report["made"] == 60 - report["known"] and report["failed"] == 3
    assert all(path.stat().st_mtime_ns == time for path, time in known.items())
    check(out)
    again = subprocess.run(command(cluster, clips, out), stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert again.stdout.startswith("0 clips in ")
    (tmp_path / "names").write_text("\n".join(f"way {number}" for number in range(of.load(BALL).classes[0])))
    others = [
        (["--views", "1x3"], "other options"),
        (["--features"], "other task, options"),
        (["--part", "5"], "other part"),
        (["--labels", str(tmp_path / "names")], "other labels"),
    ]
    for more, words in others:
        refused = subprocess.run(command(cluster, clips, out, *more), stderr=subprocess.PIPE, text=True, timeout=60)
        assert refused.returncode == 1 and words in refused.stderr, refused.stderr


def test_clips_come_from_lists_and_columns(cluster: Cluster, clips: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    some = of.clips_of(clips)[:PART]
    (tmp_path / "list.txt").write_text("\n".join(some) + "\n")
    pq.write_table(pa.table({"video": some}), tmp_path / "table.parquet")
    for given, more in [("list.txt", []), ("table.parquet", ["--column", "video"])]:
        out = tmp_path / f"results of {given}"
        subprocess.run(command(cluster, tmp_path / given, out, "--features", "--tokens", "mean", *more), check=True, timeout=120)
        rows = pq.read_table(out).to_pylist()
        assert [row["path"] for row in rows] == some and all(len(row["features"]) == row["shape"][-1] for row in rows)
    wrong = [
        ("no_such", [], "error: cannot read"),
        ("table.parquet", [], "no column 'path'"),
        ("list.txt", ["--executor", "tpu"], "error: a worker gave up: orthoformer.InputError: executor"),
    ]
    for given, more, words in wrong:
        refused = subprocess.run(command(cluster, tmp_path / given, tmp_path / "none", *more), stderr=subprocess.PIPE, text=True, timeout=60)
        assert refused.returncode == 1 and words in refused.stderr, refused.stderr
    shutil.rmtree(tmp_path)

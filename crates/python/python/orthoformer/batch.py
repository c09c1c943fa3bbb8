"""`python -m orthoformer.batch`: a network over many clips, on Ray Data. Results are Parquet files that are whole or not there; run again, it goes on.

Clips are numbered in the order in which they are given, and cut into parts of `--part` clips. A part is a file of the results, written when all of its
clips are done. What is in the results is not done again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import __version__
from ._errors import DeviceError, Error, InputError, MissingFileError
from ._network import clips_of, load

# What the folder of results was made with. Readers of Parquet leave out files whose names begin like this.
SETTINGS = "_batch.json"
# Clips in a part, where nothing is said: so few, unless that makes too many parts, of which each takes Ray 5 ms before the first one starts.
FEWEST = 32
MOST_PARTS = 2000
# How often progress is shown on a terminal, in seconds.
SHOWN_EVERY = 0.5


@dataclass(frozen=True)
class Job:
    """What decides the contents of results: a folder holds those of one job."""

    orthoformer: str
    weights: str
    """Fingerprint of the checkpoint."""
    clips: str
    """Digest of all paths, in order."""
    labels: str
    """Digest of the names of classes."""
    count: int
    part: int
    task: str
    options: dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = _parser().parse_args(arguments)
    try:
        return _run(args)
    except KeyboardInterrupt:
        print("interrupted: what is written is kept; the same command goes on", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        print(f"error: {error}; pip install orthoformer[ray] brings it", file=sys.stderr)
        return 1
    except (Error, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m orthoformer.batch", description="Run a network over many clips, on Ray.")
    parser.add_argument("clips", metavar="CLIPS", help="folder of clips, text file with a path a line, or Parquet (file or folder) with a column of paths")
    parser.add_argument("--weights", required=True, metavar="W", help="checkpoint, reachable by every worker")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for results; one with some of them is gone on with")
    parser.add_argument("--features", action="store_true", help="write features in place of labels")
    parser.add_argument("--tokens", choices=["class", "patches", "mean", "all"], help="which tokens are features")
    parser.add_argument("--layer", type=int, metavar="K", help="block after which features are taken, from 0 [default: the end]")
    parser.add_argument("--views", type=_views, default=(1, 1), metavar="TxS", help="views of a clip, temporal x spatial [default: 1x1]")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="classes to name [default: 5]")
    parser.add_argument("--labels", metavar="FILE", help="names of the classes")
    parser.add_argument("--column", default="path", metavar="NAME", help="column of paths in Parquet [default: path]")
    parser.add_argument("--part", type=int, metavar="N", help="clips in a file of the results [default: 32, or what makes 2000 files]")
    parser.add_argument("--executor", default="auto", metavar="NAME", help="where to run: auto, gpu, cpu or reference [default: auto]")
    parser.add_argument("--address", metavar="URL", help="Ray cluster, as ray://HOST:10001 [default: a local one]")
    parser.add_argument("--actors", type=int, metavar="N", help="networks that run at a time [default: one for each --cpus or --gpus that there are]")
    parser.add_argument("--cpus", type=float, default=1, metavar="N", help="CPUs of an actor [default: 1]")
    parser.add_argument("--gpus", type=float, default=0, metavar="N", help="GPUs of an actor [default: 0]")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _views(text: str) -> tuple[int, int]:
    temporal, _, spatial = text.partition("x")
    if not (temporal.isdigit() and spatial.isdigit()):
        raise argparse.ArgumentTypeError("expected temporal x spatial views, as 10x3")
    return int(temporal), int(spatial)


def _run(args: argparse.Namespace) -> int:
    clips = _clips(args.clips, args.column)
    part = max(FEWEST, -(-len(clips) // MOST_PARTS)) if args.part is None else args.part
    if part < 1:
        raise InputError(f"--part is {part}; it must be at least 1")
    # Opened here too, so that what is wrong with it is said before anything starts.
    net = load(args.weights, executor="reference", labels=args.labels)
    task = "features" if args.features else "classify"
    options = {"views": args.views, **({"tokens": args.tokens, "layer": args.layer} if args.features else {"top": args.top})}
    names = _digest(name for head in net.labels for name in head or ["?"])
    job = Job(__version__, net.fingerprint(), _digest(clips), names, len(clips), part, task, options)
    results = Results(args.out, job)
    start, known = time.monotonic(), results.clips
    if results.missing:
        # Ray tells of its workers on stdout, which is for the report.
        with contextlib.redirect_stdout(sys.stderr):
            for table in _found(args, job, clips, results.missing):
                results.take(table)
                results.show(start)
    seconds = time.monotonic() - start
    report = {
        "out": str(args.out), "clips": len(clips), "known": known, "made": results.clips - known, "failed": results.failed, "seconds": seconds,
    }
    if args.json:
        print(json.dumps(report))
        return 0
    print(f"{report['made']} clips in {seconds:.1f} s, {known} were there; {results.failed} of all {len(clips)} have an error; wrote {args.out}")
    return 0


def _clips(given: str, column: str) -> list[str]:
    """The paths, in order."""
    path = Path(given)
    if not path.exists():
        raise MissingFileError(f"cannot read {given}: there is no such file or folder")
    clips: list[str]
    is_parquet = path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet")))
    if is_parquet:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        if column not in table.column_names:
            raise InputError(f"{given}: no column {column!r}; there are {', '.join(table.column_names)}")
        clips = table.column(column).to_pylist()
    elif path.is_dir():
        clips = [os.path.abspath(clip) for clip in clips_of(path)]
    else:
        clips = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not clips or not all(isinstance(clip, str) and clip for clip in clips):
        raise InputError(f"{given}: {'no clips' if not clips else 'a clip without a path'}")
    return clips


def _digest(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _found(args: argparse.Namespace, job: Job, clips: list[str], parts: list[int]) -> Iterator[Any]:
    """Tables of rows, of any parts, as workers make them."""
    import pyarrow as pa
    import ray

    from .ray import Clips

    # Ray tells of every step.
    logging.disable(logging.WARNING)
    ray.init(address=args.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False

    def table(part: int) -> pa.Table:
        ids = range(part * job.part, min((part + 1) * job.part, job.count))
        return pa.table({"id": pa.array(ids, pa.int64()), "path": pa.array([clips[id] for id in ids], pa.string())})

    labels = None if args.labels is None else os.path.abspath(args.labels)
    own = {"weights": os.path.abspath(args.weights), "labels": labels, "task": job.task, "executor": args.executor, **job.options}
    resources = ray.cluster_resources()
    fitting = resources.get("GPU", 0) / args.gpus if args.gpus else resources.get("CPU", 1) / args.cpus
    actors = min(args.actors or max(int(fitting), 1), len(parts))
    found = ray.data.from_arrow([table(part) for part in parts]).map_batches(
        Clips,
        fn_constructor_kwargs=own,
        batch_format="pyarrow",
        batch_size=job.part,
        compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2),
        num_cpus=args.cpus,
        num_gpus=args.gpus or None,
    )
    # A worker that dies is started anew by Ray, and does its part again.
    try:
        yield from found.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
    except ray.exceptions.RayError as error:
        # The last line is the worker's own.
        raise DeviceError(f"a worker gave up: {str(error).strip().splitlines()[-1]}") from error
    finally:
        ray.shutdown()


class Results:
    """The folder of results."""

    def __init__(self, folder: Path, job: Job) -> None:
        self._folder, self._job = folder, job
        self.clips, self.failed = 0, 0
        self.missing: list[int] = []
        self._waiting: dict[int, list[Any]] = {}
        self._shown = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self._settle()
        for half in folder.glob(".*.half"):
            half.unlink()
        for part in range(-(-job.count // job.part)):
            self._count(part)

    def _settle(self) -> None:
        """Makes sure that the folder is of this job."""
        path, own = self._folder / SETTINGS, json.loads(json.dumps(asdict(self._job)))
        if not path.exists():
            if any(self._folder.glob("part-*.parquet")):
                raise InputError(f"{self._folder}: holds parts of results, but no {SETTINGS}; name another folder")
            self._write(path, lambda half: half.write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8"))
            return
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: {error}; name another folder") from error
        others = [key for key in own if known.get(key) != own[key]]
        if others:
            raise InputError(f"{self._folder}: holds results of other {', '.join(others)}; name another folder")

    def _path(self, part: int) -> Path:
        return self._folder / f"part-{part:08}.parquet"

    def _expected(self, part: int) -> int:
        return min(self._job.part, self._job.count - part * self._job.part)

    def _count(self, part: int) -> None:
        """Counts what there is of a part."""
        import pyarrow.parquet

        if not self._path(part).exists():
            self.missing.append(part)
            return
        errors = pyarrow.parquet.read_table(self._path(part), columns=["error"]).column("error")
        if len(errors) != self._expected(part):
            raise InputError(f"{self._path(part)}: {len(errors)} rows; expected {self._expected(part)}: remove it, and it is made anew")
        self.clips += len(errors)
        self.failed += len(errors) - errors.null_count

    def take(self, table: Any) -> None:
        """Takes rows of any parts; writes those parts that are complete."""
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.parquet

        parts = pyarrow.compute.divide(table.column("id"), self._job.part)
        for part in pyarrow.compute.unique(parts).to_pylist():
            rows = self._waiting.setdefault(part, [])
            rows.append(table.filter(pyarrow.compute.equal(parts, part)))
            if sum(len(some) for some in rows) < self._expected(part):
                continue
            whole = pa.concat_tables(self._waiting.pop(part)).sort_by("id")
            self._write(self._path(part), lambda half, whole=whole: pyarrow.parquet.write_table(whole, half))
            self.clips += len(whole)
            self.failed += len(whole) - whole.column("error").null_count

    def _write(self, path: Path, write: Any) -> None:
        """Writes a file whole, or not at all."""
        half = path.with_name(f".{path.name}.half")
        write(half)
        with half.open("rb") as file:
            os.fsync(file.fileno())
        half.replace(path)

    def show(self, start: float) -> None:
        """Shows progress on a terminal."""
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self._shown < SHOWN_EVERY and self.clips < self._job.count):
            return
        self._shown = now
        end = "\n" if self.clips == self._job.count else ""
        print(f"\r\x1b[2K{self.clips} of {self._job.count} clips, {self.failed} with an error, {now - start:.0f} s", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

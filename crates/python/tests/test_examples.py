"""The examples run as they are."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("PIL")


def test_a_point_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("crates", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "crates/python/examples/follow.py"))
    said = capsys.readouterr().out
    assert "down" in said and "wrote follow.gif" in said and (tmp_path / "follow.gif").read_bytes().startswith(b"GIF89a")

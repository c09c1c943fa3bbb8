"""Ctrl-C, and the interpreter's lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import BALL, CLIPS

LONG = {
    "attention": "x = numpy.ones((1, 8, 6000, 64), numpy.float32); ready(); of.attention(x, x, x, executor='reference')",
    "clips": f"net = of.load({str(BALL)!r}, executor='reference'); ready(); net.classify([{str(CLIPS / 'ball.gif')!r}] * 100000)",
}
PROGRAM = """
import signal, threading, time
import numpy, orthoformer as of
# What runs in the background of a shell starts with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
def ready():
    print("ready", flush=True)
try:
    {work}
except KeyboardInterrupt:
    late = max(b - a for a, b in zip(ticks, ticks[1:]))
    print("interrupted", late < 1, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("work", LONG)
def test_it_is_heard_and_other_threads_go_on(work: str) -> None:
    program = [sys.executable, "-c", PROGRAM.format(work=LONG[work])]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(1)
        pressed = time.monotonic()
        process.send_signal(signal.SIGINT)
        # Where nothing is heard, nothing is ever said.
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        answer = process.stdout.readline()
        watchdog.cancel()
        assert answer == "interrupted True\n"
        assert time.monotonic() - pressed < 5
        assert process.wait(timeout=60) == 0

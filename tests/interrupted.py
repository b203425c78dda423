"""Scans with a checkpoint in processes that are killed at random instants and begun again.

A program of its own, ``python interrupted.py FOLDER KIND KILLS SECONDS SEED``: it loads what is
heavy and begins no threads once, and makes every scan in a child of its own. It leaves in the
folder ``whole.json``, a scan that was not interrupted, ``resumed.json``, the one that was, and
``lives.json``: of every life, how many limits were begun and finished in it, and kept by its end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

COUNTED = np.linspace(0.5, 2.5, 60)
SHAPED = np.linspace(0.36, 0.64, 400)
MADE_UP = np.linspace(1.0, 2.0, 1500)


def counting(**changes: Any) -> Any:
    """A likelihood that only counts a dozen candidates: nothing is compiled."""
    import zfit_dark as zd

    poi = changes.pop("poi", "sigma_fb")
    asked: dict[str, Any] = {
        "masses": np.random.default_rng(3).uniform(0.2, 3.0, 12),
        "signal": table(sigma=[0.01, 0.02]),
        "window": 2,
        "sidebands": (4, 20),
        "signal_per_poi": lambda mass: 2.0 * mass,
        "limits": (0.2, 3.0),
    }
    return zd.Likelihood([zd.CountingChannel("mumu", **asked | changes)], poi=poi)


def table(**columns: Any) -> Any:
    """The shape of a signal between 0.2 and 3 GeV."""
    import zfit_dark as zd

    columns = {name: np.array(values) for name, values in columns.items()}
    return zd.SignalShape(np.array([0.2, 3.0]), columns, source="a test", status="assumed")


def made_up(mass: float) -> Any:
    """A limit with every kind of number and text."""
    from zfit_dark.results import Limit

    observed = np.inf if mass > 1.99 else mass / 3
    expected = tuple((mass / np.arange(1, 6)).tolist())
    texts = ('a "word" of warning', "µ′\n") if mass > 1.5 else ()
    return Limit(
        observed, expected, -0.0, np.nan, 0.5, 0.95, "auto", "qtilde", mass < 1.9, texts, how="…"
    )


def _scan(kind: str, checkpoint: Path | None, result: Path) -> None:
    """A scan of a likelihood that counts, or of a loss with shapes, which is compiled."""
    import zfit_dark as zd

    how: dict[str, Any] = {"checkpoint": checkpoint, "progress": False}
    if kind == "counting":
        found = zd.scan(counting(), COUNTED, method="exact", **how)
    else:
        import reference_jobs as jobs

        job = jobs.one_channel()
        found = zd.scan(job.loss, SHAPED, poi=job.poi, mass=job.mass, **how)
    found.to_json(result)


def _record(pipe: int, checkpoint: Path | None, result: Path) -> None:
    """What a scan does with its checkpoint, and nothing else."""
    from zfit_dark.checkpoint import opened

    with opened(checkpoint, lambda: {"level": 0.95}) as record:
        for mass in MADE_UP.tolist():
            if mass not in record.done:
                os.write(pipe, b"b")
                record.add(mass, made_up(mass))
                os.write(pipe, b"f")
        done = {str(mass): repr(asdict(limit)) for mass, limit in record.done.items()}
        result.write_text(json.dumps(done, sort_keys=True), encoding="utf-8")


def _tell_limits(pipe: int) -> None:
    """Have a byte written when a limit is begun, and another one when it is finished."""
    from zfit_dark import scanning

    whole = scanning.asked

    def asked(*arguments: Any) -> Any:
        work = whole(*arguments)

        def told() -> Any:
            os.write(pipe, b"b")
            limit = work()
            os.write(pipe, b"f")
            return limit

        return told

    scanning.asked = asked


def _life(kind: str, checkpoint: Path | None, result: Path) -> tuple[int, int]:
    """A child that scans; its number, and a pipe that tells what it does."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        return child, ours
    status = 1
    try:
        if kind == "record":
            _record(theirs, checkpoint, result)
        else:
            _tell_limits(theirs)
            _scan(kind, checkpoint, result)
        status = 0
    finally:
        os._exit(status)


def _end(child: int, pipe: int, after: float | None, since: bytes = b"b") -> tuple[bool, bytes]:
    """Wait for the end of a child, or kill it a while after its first limit was begun."""
    told = b""
    while since not in told and (more := os.read(pipe, 1)):
        told += more
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    while more := os.read(pipe, 4096):
        told += more
    os.close(pipe)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status), told


def main(folder: Path, kind: str, kills: int, seconds: float, seed: int) -> None:
    """Scan once without an interrupt, then with so many; the mean time to one is given."""
    checkpoint, result = folder / "checkpoint", folder / "resumed.json"
    _end(*_life(kind, None, folder / "whole.json"), None)
    waits = [*np.random.default_rng(seed).exponential(seconds, kills).tolist(), None]
    since = b"f" if kind == "shapes" else b"b"  # the first limit of shapes is mostly compiling
    lives, before = [], 0
    for wait in waits:
        killed, told = _end(*_life(kind, checkpoint, result), wait, since)
        kept = max(checkpoint.read_bytes().count(b"\n") - 1, 0)
        begun, finished = told.count(b"b"), told.count(b"f")
        lives.append(
            {"killed": killed, "begun": begun, "finished": finished, "kept": kept - before}
        )
        before = kept
    (folder / "lives.json").write_text(json.dumps(lives), encoding="utf-8")


if __name__ == "__main__":
    import_module("zfit_dark.checkpoint")
    if sys.argv[2] != "record":
        for heavy in ("iminuit", "scipy.stats", "tensorflow_probability.python.math"):
            import_module(heavy)  # zfit begins threads, these do not
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))

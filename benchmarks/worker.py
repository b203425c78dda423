"""One peer in a process of its own: ``worker.py PEER JOB [CLASS]``, asked line by line.

A line on standard input is a mass, or a number of toys if the class is ``Toys``; the answer is a
line of JSON. The first line of output comes unasked and says that the peer is ready, or why it is
not. Whatever else a peer prints goes to standard error. The process ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any

from common import resident_mb


def main(peer: str, job: str, kind: str = "Limits") -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**what: Any) -> None:
        print(json.dumps(what), file=answers)

    start = time.perf_counter()
    try:
        module = import_module(f"peers.{peer}")
    except ImportError as error:
        return answer(missing=str(error))
    try:
        work = getattr(module, kind)(job)
    except Exception as error:  # whatever it is, the table names it
        return answer(error=f"{type(error).__name__}: {error}")
    started = time.perf_counter() - start
    answer(name=module.NAME, versions=_versions(module), start_s=started)
    if kind == "Limits":
        first = getattr(work, "warm_up", work)
        for line in sys.stdin:
            answer(**_timed(first, float(line), _limits))
            first = work
    else:
        for line in sys.stdin:
            answer(**_timed(work, int(line), _toys))
    return None


def _timed(
    work: Callable[[Any], Any], asked: Any, described: Callable[[Any, Any], dict[str, Any]]
) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        found = work(asked)
    except Exception as error:  # whatever it is, the table names it
        return {"error": f"{type(error).__name__}: {error}"}
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return described(asked, found) | {"wall_s": wall, "cpu_s": cpu, "rss_mb": resident_mb()}


def _limits(mass: float, found: Any) -> dict[str, Any]:
    return {"mass": mass, "limits": None if found is None else [float(value) for value in found]}


def _toys(number: int, found: Any) -> dict[str, Any]:
    best, lowest, conditional = ([float(value) for value in row] for row in found)
    return {"toys": number, "best": best, "lowest": lowest, "conditional": conditional}


def _versions(module: Any) -> dict[str, str]:
    versions = {module.NAME: module.version()} if hasattr(module, "version") else {}
    for package in module.PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    main(*sys.argv[1:])

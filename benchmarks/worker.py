"""One peer in a process of its own: ``worker.py PEER JOB``, asked line by line.

A line on standard input is a mass; the answer is a line of JSON. The first line of output comes
unasked and says that the peer is ready, or why it is not. Whatever else a peer prints goes to
standard error. The process ends with its input.
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


def main(peer: str, job: str) -> None:
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
        limits = module.Limits(job)
    except Exception as error:  # whatever it is, the table names it
        return answer(error=f"{type(error).__name__}: {error}")
    started = time.perf_counter() - start
    answer(name=module.NAME, versions=_versions(module), start_s=started)
    first = getattr(limits, "warm_up", limits)
    for line in sys.stdin:
        answer(**_timed(first, float(line)))
        first = limits
    return None


def _timed(limits: Callable[[float], Any], mass: float) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        found = limits(mass)
    except Exception as error:  # whatever it is, the table names it
        return {"error": f"{type(error).__name__}: {error}"}
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found = None if found is None else [float(value) for value in found]
    return {"mass": mass, "limits": found, "wall_s": wall, "cpu_s": cpu, "rss_mb": resident_mb()}


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

"""A scan by one process, by two, and by a dask cluster of two; see README.md.

The scan is that of ``b2kagg``: four channels, one coupling. All executors are warmed up with a scan
of their own, so that they have compiled, and then take turns. The overhead of a mass is the time
that a task takes which does nothing, times the tasks of a scan over its masses. A long scan tells
the memory of a worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from common import RESULTS, environment, machine, markdown_table, resident_mb, write

SPAWN = multiprocessing.get_context("spawn")
ONE, TWO, DASK = "one process", "two processes", "two dask workers"
LARGEST_MB = 1500.0
"""Memory of a worker after the long scan."""


def nothing(number: int) -> int:
    """What a worker does to tell what handing out costs."""
    return number


def peak_mb() -> float:
    """Most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Counted(Executor):
    """Counts what it hands out."""

    def __init__(self, executor: Executor) -> None:
        self.executor, self.tasks = executor, 0

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Hand out."""
        self.tasks += 1
        return self.executor.submit(function, *arguments, **options)


@contextmanager
def cluster(workers: int) -> Iterator[Executor]:
    """The executor of a dask cluster on this machine."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local,
        Client(local) as client,
        client.get_executor(pure=False) as executor,
    ):
        yield executor


def main() -> None:
    """Time, write."""
    import zfit_dark as zd

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masses", type=int, default=300)
    parser.add_argument("--long", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    search = zd.searches.load("b2kagg")
    sample = search.read(None, seed=1)

    def scan(executor: Executor, masses: int) -> float:
        start = time.perf_counter()
        search.scan(sample, max_masses=masses, executor=executor, progress=False)
        return time.perf_counter() - start

    results: dict[str, Any] = {"machine": machine(), "masses": asked.masses}
    with ExitStack() as opened:
        executors: dict[str, Executor] = {}
        executors[ONE] = opened.enter_context(ProcessPoolExecutor(1, mp_context=SPAWN))
        executors[TWO] = opened.enter_context(ProcessPoolExecutor(2, mp_context=SPAWN))
        executors[DASK] = opened.enter_context(cluster(2))
        first = {name: scan(each, asked.masses) for name, each in executors.items()}
        seconds: dict[str, list[float]] = {name: [] for name in executors}
        for _ in range(asked.rounds):
            for name, each in executors.items():
                seconds[name].append(scan(each, asked.masses))
        for name, each in executors.items():
            times = seconds[name]
            start = time.perf_counter()
            for found in each.map(nothing, range(2000)):
                del found
            a_task = (time.perf_counter() - start) / 2000
            counted = Counted(each)
            scan(counted, asked.masses)
            overhead = a_task * counted.tasks / asked.masses
            results[name] = {
                "first_s": first[name],
                "seconds": times,
                "ms_a_mass": 1e3 * statistics.median(times) / asked.masses,
                "throughput": statistics.median(
                    one / ours for one, ours in zip(seconds[ONE], times, strict=True)
                ),
                "task_ms": 1e3 * a_task,
                "overhead_ms": 1e3 * overhead,
            }
        if asked.long:
            scan(executors[ONE], asked.long)
            results["rss_mb"] = executors[ONE].submit(resident_mb).result()
            results["peak_mb"] = executors[ONE].submit(peak_mb).result()
            results["long"] = asked.long
            rows = (
                f"\nA worker had {results['rss_mb']:.0f} MB after a scan of {asked.long} masses, "
                f"and {results['peak_mb']:.0f} MB while it compiled.\n"
            )
        else:
            rows = ""
    table = markdown_table(
        ["", "ms / mass", "throughput", "first scan [s]", "handing out [ms]"],
        [
            [
                name,
                f"{results[name]['ms_a_mass']:.1f}",
                f"{results[name]['throughput']:.2f}",
                f"{results[name]['first_s']:.1f}",
                f"{results[name]['overhead_ms']:.2f}",
            ]
            for name in (ONE, TWO, DASK)
        ],
    )
    write(RESULTS, "executors", results, table + rows)
    if asked.long and results["rss_mb"] > LARGEST_MB:
        raise SystemExit(f"a worker had more than {LARGEST_MB:.0f} MB")


if __name__ == "__main__":
    os.environ.update(environment())
    main()

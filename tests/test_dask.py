"""Scans on a cluster of dask with two workers, one of which is killed in the middle."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from sixty_candidates import counting, same, shape

import zfit_dark as zd
from zfit_dark import workers
from zfit_dark.channel import bernstein
from zfit_dark.checkpoint import masses_done

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.slow  # every worker that starts imports TensorFlow

MASSES = np.linspace(0.3, 2.9, 60)


def slowly(mass: float) -> float:
    """The signal of a coupling, told by somebody who takes his time: others can step in."""
    time.sleep(0.01)
    return 2.0 * mass


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two processes and their client; workers that die are replaced by their nannies."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


@pytest.fixture
def executor(cluster: Any) -> Iterator[Executor]:
    with cluster.get_executor(pure=False) as found:
        yield found


@contextmanager
def killed_after(masses: int, checkpoint: Path, pid: int) -> Iterator[list[int]]:
    """Kill a process as soon as so many masses are on record; tells how many there were."""
    killed: list[int] = []
    over = Event()

    def wait() -> None:
        while not over.wait(0.005):
            done = len(masses_done(checkpoint)) if checkpoint.exists() else 0
            if done >= masses:
                os.kill(pid, signal.SIGKILL)
                killed.append(done)
                return

    waiting = Thread(target=wait)
    waiting.start()
    try:
        yield killed
    finally:
        over.set()
        waiting.join()


def pids(cluster: Any) -> list[int]:
    return sorted(cluster.run(os.getpid).values())


def test_a_compiled_scan_with_a_worker_killed(
    cluster: Any, executor: Executor, tmp_path: Path
) -> None:
    channel = zd.ShapeChannel(
        "mumu",
        np.random.default_rng(4).uniform(0.2, 3.0, 3000),
        (0.2, 3.0),
        shape(),
        slowly,
        background=bernstein(1),
        window=15,
    )
    model, masses = zd.Likelihood([channel]), np.linspace(0.3, 2.9, 300)
    kept = tmp_path / "scan.checkpoint"
    zd.scan(model, masses[:2], progress=False, executor=executor)
    before = pids(cluster)
    with killed_after(5, kept, before[0]) as killed:
        found = zd.scan(model, masses, progress=False, executor=executor, checkpoint=kept)
    assert killed
    assert killed[0] < masses.size
    assert found.valid.all()
    same(found, zd.scan(model, masses, progress=False))
    cluster.wait_for_workers(2, timeout=60)
    assert before[0] not in pids(cluster)
    assert before[1] in pids(cluster)


def deadly(mass: float) -> float:
    """Kills the process that takes it up, if that is one of the cluster."""
    if mass > 2.0 and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2.0 * mass


def test_a_cluster_that_gives_up_is_told_and_nothing_is_lost(
    cluster: Any, executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask refuses work that has killed too many of those who took it up."""
    monkeypatch.setattr(cluster.cluster.scheduler, "allowed_failures", 0)
    kept = tmp_path / "scan.checkpoint"
    with pytest.raises(workers.WorkerError, match=r"a worker process died .*take fewer of them"):
        zd.scan(counting(deadly), MASSES, progress=False, executor=executor, checkpoint=kept)
    assert 0 < len(masses_done(kept)) < MASSES.size

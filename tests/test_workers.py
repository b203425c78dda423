"""Scans by other processes: the same limits, whoever works and whoever dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest
import zfit
from sixty_candidates import counting, same, twice_per_poi

import zfit_dark as zd
from zfit_dark import cli, workers
from zfit_dark.channel import ShapeChannel
from zfit_dark.checkpoint import masses_done
from zfit_dark.errors import InputError
from zfit_dark.results import Scan

MASSES = np.linspace(0.5, 2.5, 12)
SPAWN = multiprocessing.get_context("spawn")


def scanned(model: zd.Likelihood, **how: Any) -> Scan:
    return zd.scan(model, MASSES, progress=False, **how)


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=SPAWN) as executor:
        yield executor


class AtOnce(Executor):
    """Works in this process, as a cluster would that loses its models: some are new."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        if len(self.asked) % 10 == 9:
            workers._models.clear()  # another process has taken its place
        self.asked.append(arguments[3] is not None)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def test_processes_find_the_same_limits(pool: Executor, tmp_path: Path) -> None:
    kept = tmp_path / "scan.checkpoint"
    alone = scanned(counting())
    same(scanned(counting(), executor=pool, checkpoint=kept), alone)
    assert sorted(masses_done(kept)) == MASSES.tolist()
    same(scanned(counting(), executor=pool, checkpoint=kept), alone)  # nothing is left to do


def test_a_process_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set before it imports TensorFlow, which then keeps to it; here nothing is changed."""
    name = "TF_NUM_INTRAOP_THREADS"
    monkeypatch.delenv(name, raising=False)
    with ProcessPoolExecutor(1, mp_context=SPAWN) as fresh:
        scanned(counting(), executor=fresh)
        assert fresh.submit(os.getenv, name).result() == "1"
    assert name not in os.environ


def test_a_process_that_starts_late_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool may start one for a model that is sent again."""
    name, seen = "TF_NUM_INTRAOP_THREADS", []
    monkeypatch.delenv(name, raising=False)

    class Looking(AtOnce):
        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            seen.append(os.environ.get(name))
            return super().submit(function, *arguments, **options)

    executor = Looking()
    scanned(counting(), executor=executor)
    workers._models.clear()
    assert any(executor.asked)
    assert set(seen) == {"1"}


def test_other_yields_need_no_other_model(pool: Executor) -> None:
    model = counting()
    twice = model.rescaled({"mumu": twice_per_poi})
    assert workers.job(model, [1], ()).key == workers.job(twice, [1], ()).key
    np.testing.assert_allclose(
        scanned(twice, executor=pool).observed, scanned(model).observed / 2, rtol=1e-9
    )


def test_a_process_that_lost_its_model_is_sent_it_again() -> None:
    executor, alone = AtOnce(), scanned(counting())
    same(scanned(counting(), executor=executor), alone)
    first = workers._FIRST
    assert executor.asked[: 2 * first] == [False] * first + [True] * first  # nobody had it at first
    assert sum(executor.asked[2 * first :]) < MASSES.size - first
    executor.asked.clear()
    same(scanned(counting(), executor=executor), alone)
    assert 0 < sum(executor.asked) < 12
    workers._models.clear()


def test_a_process_that_dies_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    kept, found = tmp_path / "scan.checkpoint", counting()
    with ProcessPoolExecutor(1, mp_context=SPAWN) as dying:
        child = dying.submit(os.getpid).result()
        scanned(found, executor=dying, checkpoint=tmp_path / "warm")  # it has the model
        os.kill(child, signal.SIGKILL)
        with pytest.raises(workers.WorkerError, match="a worker process died"):
            scanned(found, executor=dying, checkpoint=kept)
    same(scanned(found, checkpoint=kept), scanned(found))


def test_a_fixed_parameter_of_a_shape_is_sent(pool: Executor) -> None:
    lifetime = zfit.Parameter("lifetime_sent", 3.0, floating=False)
    content = workers.job(_flying(lifetime), [1], ()).model
    assert workers.job(_flying(lifetime), [1], ()).model == content
    lifetime.assign(4.0)
    assert workers.job(_flying(lifetime), [1], ()).model != content  # it is part of the model
    held = {c.name: 1.0 for c in _flying(lifetime).channels}
    keys = {
        workers.job(_flying(lifetime).rescaled(held, {lifetime: value}), [1], ()).key
        for value in (1.0, 2.0)
    }
    assert len(keys) == 1  # unless it is held, at one value or another
    moving = zfit.Parameter("lifetime_moving", 3.0, 0.0, 10.0)
    with pytest.raises(InputError, match="parameter lifetime_moving floats"):
        workers.job(_flying(moving), [1], ())


def _flying(lifetime: Any) -> zd.Likelihood:
    from zfit_dark.searches.b2kagg.flight import flown

    channel = ShapeChannel("Kplus", np.array([1.0, 2.0]), (0.5, 2.5), flown("Kplus", lifetime), 1.0)
    return zd.Likelihood([channel])


def test_what_cannot_be_sent(pool: Executor) -> None:
    obs = zfit.Space("m_sent", 0.0, 1.0)
    events = zfit.Parameter("events_sent", 10.0, 0.0)
    mass = zfit.Parameter("mass_sent", 0.5, 0.0, 1.0, floating=False)
    peak = zfit.pdf.Gauss(mass, 0.1, obs=obs, extended=events)
    loss = zfit.loss.ExtendedUnbinnedNLL(peak, zfit.Data.from_numpy(obs=obs, array=np.full(9, 0.5)))
    with pytest.raises(InputError, match="a zfit loss cannot be sent to another process"):
        zd.scan(loss, [0.4, 0.5], poi=events, mass=mass, executor=pool, progress=False)
    lock = Lock()
    model = counting().rescaled({"mumu": lambda mass: mass + lock.locked()})
    with pytest.raises(InputError, match="the model cannot be sent to another process"):
        scanned(model, executor=pool)
    fork = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=fork) as forked,
        pytest.raises(InputError, match="TensorFlow does not survive a fork"),
    ):
        scanned(counting(), executor=forked)


def test_errors_of_workers_come_out(pool: Executor) -> None:
    model = counting()
    with pytest.raises(InputError, match="method='guess' is not known"):
        scanned(model, executor=pool, method="guess")


@pytest.mark.slow
def test_processes_of_the_command_line(tmp_path: Path) -> None:
    """A search whose shapes fly, with its lifetimes: by two processes, and by threads."""
    found = {}
    for name, more in {"threads": [], "processes": ["--workers", "2"]}.items():
        out = tmp_path / name
        text = f"scan b2kagg --modes Kplus --masses 0.3,1.2 --ctau 3 --quiet --out {out}"
        assert cli.main([*text.split(), *more]) == 0
        found[name] = Scan.from_json(out / "scan.json")
    same(found["threads"], found["processes"])
    assert found["threads"].provenance["settings"]["ctau"] == 3


def test_wrong_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path), "--modes", "Kplus", "--masses", "1.0"]
    assert cli.main(["scan", "b2kagg", "--workers", "-1", *out]) == 2
    assert "--workers -1: give 1 or more" in capsys.readouterr().err

"""Limits at many masses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from zfit_dark.checkpoint import opened
from zfit_dark.elsewhere import Place, largest_excesses, place
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.identity import identity
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import TestStatistic, asked, loss_and_poi, unpacked, usual
from zfit_dark.profile import CompiledLoss, compiled
from zfit_dark.progress import bar, in_gev, shown, tell
from zfit_dark.results import Limit, Scan, Skipped
from zfit_dark.terms import ALONE
from zfit_dark.toys import cores, make_room
from zfit_dark.workers import check_executor, job, limits

_Item = TypeVar("_Item")

_LOOKED_AT = 201
"""Points between which the largest signal of a range is looked for."""


def scan(
    model: Any,
    masses: ArrayLike,
    poi: Any = None,
    mass: Any = None,
    level: float = 0.95,
    method: str | None = None,
    test_statistic: TestStatistic = "qtilde",
    *,
    blind: bool = False,
    toys: Toys | None = None,
    global_toys: int = 0,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    shard: tuple[int, int] | None = None,
    progress: bool = True,
    poi_label: str = "",
    poi_unit: str = "",
    pseudo_data: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Scan:
    """Upper limits at many masses of one model, which is compiled once.

    Args:
        model: a ``Likelihood``, or a zfit loss.
        masses: the hypotheses, in GeV.
        poi: for a loss, the floating parameter that measures the signal.
        mass: for a loss, the fixed parameter that the signal is built on.
        level: confidence level.
        method: see ``upper_limit``.
        test_statistic: see ``upper_limit``.
        blind: expected limits only; see ``upper_limit``.
        toys: see ``upper_limit``; all masses have the same seed.
        global_toys: pseudo-experiments of the whole scan without a signal, which all hypotheses
            look at, for ``Scan.global_significance``; their seed is that of ``toys``. A thousand
            tell a p-value of 0.1 to 10 %, and take as long as some thousand fits at each mass.
        executor: where hypotheses are worked on, several at a time; by default a thread for every
            core. Any other has processes of its own, each of which compiles the model once, which
            must be a ``Likelihood``: a ``ProcessPoolExecutor`` that spawns, the ``get_executor()``
            of a dask client, and so on. The limits do not depend on it.
        checkpoint: a file that keeps each limit as soon as it is found. The same call again takes
            what is there and goes on, also after ``kill -9``, and returns what it would have
            returned uninterrupted; there may be more masses. It does not keep toys of the whole
            scan.
        shard: the part of the masses that this call works on, (k, n) for every n-th of them from
            the k-th on; see ``Scan.merge``. The limits do not depend on it.
        progress: show a progress bar on standard error, in a batch log a line now and then.
        poi_label: the parameter of interest as plots name it; its own name if not given.
        poi_unit: its unit.
        pseudo_data: whether the candidates are not real; plots and files say so.
        provenance: what the scan's file shall say of its origin; see ``results.new_provenance``.

    Returns:
        The limits in ascending mass. Masses that the model cannot take are in ``skipped`` with the
        reason; a fit that fails is flagged, and the scan goes on.

    Raises:
        InputError: if the masses are no numbers, none of them can be a hypothesis, the model cannot
            be sent to the processes of the executor, one of them dies, or the checkpoint cannot be
            written, is damaged, is in use by another process, or is that of other data, another
            model or other settings.
    """
    method = method or usual(model)
    loss, poi = (loss_and_poi if global_toys else unpacked)(model, poi)
    move, why_not = mover(model, mass, poi)
    wanted, skipped = hypotheses(masses, why_not)

    def seen(hypothesis: float) -> tuple[list[float], list[tuple[float, float]]]:
        if not isinstance(model, Likelihood):
            return [hypothesis] * len(loss.model), [(-np.inf, np.inf)] * len(loss.model)
        there = [(c.position(hypothesis), c.window_at(hypothesis)) for c in model.channels]
        return [peak for peak, _ in there], [window for _, window in there]

    largest: list[int] = []
    if isinstance(model, Likelihood):
        largest = model.largest_windows(wanted)
        if global_toys or method in ("toys", "auto"):
            make_room(compiled(loss), largest)
        else:
            compiled(loss).reserve(largest)
    if shard is not None:  # after room is made for all, so that limits are the same to the last bit
        total = len(wanted)
        wanted, skipped = _share(wanted, shard), _share(skipped, shard)
        if not wanted:
            raise InputError(
                f"shard {shard[0]}/{shard[1]} has nothing to do: masses: {total}; take fewer shards"
            )
    here = executor is None or isinstance(executor, ThreadPoolExecutor)
    if executor is not None and not here:
        check_executor(executor)
    plan = Toys() if toys is None else toys
    if blind and global_toys:
        raise InputError("a blind scan has no excess to compare with: leave out global_toys")
    if not isinstance(global_toys, int) or global_toys < 0:
        raise InputError(f"global_toys={global_toys}: give a whole number, 0 for none")
    if shard is not None and global_toys:
        raise InputError("a shard is not the whole scan: leave out global_toys")

    def tasks(left: Sequence[float]) -> Iterator[tuple[float, Callable[[], Limit]]]:
        for hypothesis in left:
            with ALONE:
                move(hypothesis)
                task = asked(model, poi, level, method, test_statistic, blind, plan)
            yield hypothesis, task

    def places() -> Iterator[Place]:
        for hypothesis in wanted:
            with ALONE:
                move(hypothesis)
                found = place(compiled(loss), hypothesis, *seen(hypothesis), poi)
            if found is not None:
                yield found

    def decides() -> dict[str, Any]:
        with ALONE:
            settings = level, method, test_statistic, blind, plan, provenance
            return identity(model, poi, *settings)

    excesses, excess = np.empty(0), np.nan
    with put_back(model, mass), opened(checkpoint, decides) as record:
        # first, so that what stands in the way of toys is told before the work begins
        looked_at = list(places()) if global_toys else []
        left = [hypothesis for hypothesis in wanted if hypothesis not in record.done]
        with bar(len(left), progress) as advance:

            def keep(hypothesis: float, limit: Limit) -> None:
                record.add(hypothesis, limit)
                tell(hypothesis, limit)
                advance(in_gev(hypothesis))

            if executor is None or here:
                _work_out(tasks(left), executor, keep)
            elif left:
                question = level, method, test_statistic, blind, plan
                for found in limits(job(model, largest, question), left, executor):
                    keep(*found)
        if global_toys:
            excesses = largest_excesses(
                compiled(loss),
                looked_at,
                poi,
                global_toys,
                plan.seed,
                shown=lambda batches: shown(batches, progress, lambda b: f"{b.stop} toys"),
            )
            excess = max(each.excess for each in looked_at)
    return Scan.from_limits(
        wanted,
        [record.done[hypothesis] for hypothesis in wanted],
        poi=poi.name,
        poi_label=poi_label or poi.name,
        poi_unit=poi_unit,
        pseudo_data=pseudo_data,
        skipped=skipped,
        largest_excess=excess,
        toy_excesses=excesses,
        provenance=provenance,
    )


def hypotheses(
    masses: ArrayLike, why_not: Callable[[float], str | None]
) -> tuple[list[float], list[Skipped]]:
    """The masses in ascending order, and those that cannot be a hypothesis.

    Args:
        masses: in GeV.
        why_not: tells why a mass cannot, see ``mover``.

    Raises:
        InputError: if the masses are no numbers, or none of them can be a hypothesis.
    """
    given = np.unique(np.asarray(masses, float))
    if given.size == 0 or not np.isfinite(given).all():
        raise InputError("give at least one mass, and only finite ones, in GeV")
    reasons = {mass: why_not(mass) for mass in given.tolist()}
    skipped = [Skipped(mass, reason) for mass, reason in reasons.items() if reason is not None]
    wanted = [mass for mass, reason in reasons.items() if reason is None]
    if not wanted:
        told = "; ".join(sorted({each.reason for each in skipped}))
        raise InputError(f"none of the masses can be a hypothesis: {told}")
    return wanted, skipped


def _share(items: list[_Item], shard: tuple[int, int]) -> list[_Item]:
    """The part of masses that a shard works on."""
    k, n = shard
    if not 1 <= k <= n:
        raise InputError(f"shard {k}/{n}: give a number from 1 to {n}, and of how many")
    return items[k - 1 :: n]


def _work_out(
    tasks: Iterator[tuple[float, Callable[[], Limit]]],
    executor: Executor | None,
    keep: Callable[[float, Limit], None],
) -> None:
    """Work on the tasks of masses in several threads, each of which keeps what it has found.

    A task is taken up only when there is hardly any left to do, so that few samples are held. On
    Ctrl-C or an error no other is begun; those that run cannot be stopped, and are kept too.
    """

    def work(mass: float, task: Callable[[], Limit]) -> None:
        keep(mass, task())

    for first in islice(tasks, 1):
        work(*first)  # compiles, once for all
    threads = cores()
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(threads) if executor is None else nullcontext(executor) as pool:
        try:
            for each in tasks:
                running.add(pool.submit(work, *each))
                if len(running) > 2 * threads:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
            for future in running:
                future.result()
        finally:
            for future in running:
                future.cancel()
            wait(running)


def mover(
    model: Any, mass: Any, poi: Any
) -> tuple[Callable[[float], Any], Callable[[float], str | None]]:
    """What takes the signal to a mass, and what tells why it cannot be taken there.

    Args:
        model: a ``Likelihood``, or a zfit loss.
        mass: for a loss, the fixed parameter that the signal is built on.
        poi: for a loss, the parameter of interest.

    Raises:
        InputError: if a loss has no such parameters.
    """
    if isinstance(model, Likelihood):
        return model.move_to, model.why_not
    if mass is None:
        raise InputError("give mass=, the fixed parameter of the loss that the signal is built on")
    if isinstance(mass, str | float | int):
        raise InputError(f"mass={mass!r}: give the parameter itself, not its name or value")
    fixed = model.get_params(floating=False)
    if mass not in fixed:
        names = ", ".join(sorted(p.name for p in fixed)) or "none"
        raise InputError(
            f"{getattr(mass, 'name', mass)!r} is not a fixed parameter of the loss: "
            f"make it with floating=False; those that are: {names}"
        )
    ours = compiled(model)
    ours.index(poi)  # refuses a parameter that does not float
    ranges = [(ends[0], ends[-1]) for ends in ours.setting().breakpoints if len(ends)]
    where = "".join(f", {start:g} to {end:g}" for start, end in ranges) if len(ranges) == 1 else ""
    low, high = (None if edge is None else float(edge) for edge in (mass.lower, mass.upper))

    def why_not(hypothesis: float) -> str | None:
        if (low is not None and hypothesis < low) or (high is not None and hypothesis > high):
            return f"outside the limits of parameter {mass.name}, {low} to {high}"
        if not ranges or any(start <= hypothesis <= end for start, end in ranges):
            return None
        with put_back(model, mass):
            mass.assign(hypothesis)
            inside = _peaks_inside(ours, poi, ranges)
        return None if inside else f"its signal is outside the range of the fit{where}"

    return mass.assign, why_not  # set_value looks at the limits, and takes 3 ms for it


def _peaks_inside(ours: CompiledLoss, poi: Any, ranges: Sequence[tuple[float, float]]) -> bool:
    """Whether the signal is largest at neither end of the range of some unbinned channel.

    A mass outside the range may have its signal inside, if the observable is another one.
    """
    direction = np.zeros(len(ours.parameters))
    direction[ours.index(poi)] = 1.0
    points = [np.linspace(*each, _LOOKED_AT) for each in ranges]
    found = ours.densities(ours.values(), points, direction)
    return any(0 < np.argmax(np.abs(each.slope)) < _LOOKED_AT - 1 for each in found)


@contextmanager
def put_back(model: Any, mass: Any) -> Iterator[None]:
    """Put the mass parameter of a loss back to where it stands, whatever happens.

    The arguments are those of ``mover``; a ``Likelihood`` stays where it was moved to.
    """
    before = None if isinstance(model, Likelihood) else float(mass.value())
    try:
        yield
    finally:
        if before is not None:
            mass.assign(before)

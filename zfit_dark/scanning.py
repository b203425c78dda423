"""Limits at many masses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zfit_dark.elsewhere import Place, largest_excesses, place
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import TestStatistic, asked, loss_and_poi, unpacked, usual
from zfit_dark.profile import compiled
from zfit_dark.results import Limit, Scan, Skipped
from zfit_dark.terms import ALONE
from zfit_dark.toys import cores, make_room

_Item = TypeVar("_Item")


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
        executor: where hypotheses are worked on, several at a time: a thread pool; by default one
            with a thread for every core. The limits do not depend on it.
        progress: show a progress bar on standard error.
        poi_label: the parameter of interest as plots name it; its own name if not given.
        poi_unit: its unit.
        pseudo_data: whether the candidates are not real; plots and files say so.
        provenance: what the scan's file shall say of its origin; see ``results.new_provenance``.

    Returns:
        The limits in ascending mass. Masses that the model cannot take are in ``skipped`` with the
        reason; a fit that fails is flagged, and the scan goes on.

    Raises:
        InputError: if the masses are no numbers, none of them can be a hypothesis, or the executor
            is no thread pool.
    """
    method = method or usual(model)
    hypotheses = np.unique(np.asarray(masses, float))
    if hypotheses.size == 0 or not np.isfinite(hypotheses).all():
        raise InputError("give at least one mass, and only finite ones, in GeV")
    loss, poi = (loss_and_poi if global_toys else unpacked)(model, poi)
    move, why_not = mover(model, mass)

    def seen(hypothesis: float) -> tuple[list[float], list[tuple[float, float]]]:
        if not isinstance(model, Likelihood):
            return [hypothesis] * len(loss.model), [(-np.inf, np.inf)] * len(loss.model)
        there = [(c.position(hypothesis), c.window_at(hypothesis)) for c in model.channels]
        return [peak for peak, _ in there], [window for _, window in there]

    reasons = {float(hypothesis): why_not(float(hypothesis)) for hypothesis in hypotheses}
    skipped = [Skipped(m, reason) for m, reason in reasons.items() if reason is not None]
    wanted = [m for m, reason in reasons.items() if reason is None]
    if not wanted:
        raise InputError(f"none of the masses can be a hypothesis: {_reasons(skipped)}")
    if isinstance(model, Likelihood):
        largest = model.largest_windows(wanted)
        if global_toys or method in ("toys", "auto"):
            make_room(compiled(loss), largest)
        else:
            compiled(loss).reserve(largest)
    if executor is not None and not isinstance(executor, ThreadPoolExecutor):
        raise InputError(
            f"a {type(executor).__name__} cannot share one model: give a ThreadPoolExecutor"
        )
    plan = Toys() if toys is None else toys
    if blind and global_toys:
        raise InputError("a blind scan has no excess to compare with: leave out global_toys")
    if not isinstance(global_toys, int) or global_toys < 0:
        raise InputError(f"global_toys={global_toys}: give a whole number, 0 for none")

    def tasks() -> Iterator[Callable[[], Limit]]:
        for hypothesis in shown(wanted, progress):
            with ALONE:
                move(hypothesis)
                task = asked(model, poi, level, method, test_statistic, blind, plan)
            yield task

    def places() -> Iterator[Place]:
        for hypothesis in wanted:
            with ALONE:
                move(hypothesis)
                found = place(compiled(loss), hypothesis, *seen(hypothesis), poi)
            if found is not None:
                yield found

    excesses, excess = np.empty(0), np.nan
    with put_back(model, mass):
        # first, so that what stands in the way of toys is told before the work begins
        looked_at = list(places()) if global_toys else []
        limits = _worked_out(tasks(), executor)
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
        limits,
        poi=poi.name,
        poi_label=poi_label or poi.name,
        poi_unit=poi_unit,
        pseudo_data=pseudo_data,
        skipped=skipped,
        largest_excess=excess,
        toy_excesses=excesses,
        provenance=provenance,
    )


def _worked_out(tasks: Iterator[Callable[[], Limit]], executor: Executor | None) -> list[Limit]:
    """What tasks return, in their order, worked on in several threads.

    A task is taken up only when there is hardly any left to do, so that few samples are held.
    """
    limits = [next(tasks)()]  # compiles, once for all
    threads = cores()
    with ThreadPoolExecutor(threads) if executor is None else nullcontext(executor) as pool:
        running: deque[Future[Limit]] = deque()
        for task in tasks:
            running.append(pool.submit(task))
            if len(running) > 2 * threads:
                limits.append(running.popleft().result())
        limits += [future.result() for future in running]
    return limits


def mover(model: Any, mass: Any) -> tuple[Callable[[float], Any], Callable[[float], str | None]]:
    """What takes the signal to a mass, and what tells why it cannot be taken there.

    Args:
        model: a ``Likelihood``, or a zfit loss.
        mass: for a loss, the fixed parameter that the signal is built on.

    Raises:
        InputError: if a loss has no such parameter.
    """
    if isinstance(model, Likelihood):
        return model.move_to, model.why_not
    if mass is None:
        raise InputError("give mass=, the fixed parameter of the loss that the signal is built on")
    if mass not in model.get_params(floating=False):
        raise InputError(
            f"{getattr(mass, 'name', mass)!r} is not a fixed parameter of the loss: "
            "make it with floating=False"
        )
    low, high = (None if edge is None else float(edge) for edge in (mass.lower, mass.upper))

    def why_not(hypothesis: float) -> str | None:
        if (low is None or hypothesis >= low) and (high is None or hypothesis <= high):
            return None
        return f"outside the limits of parameter {mass.name}, {low} to {high}"

    return mass.assign, why_not  # set_value looks at the limits, and takes 3 ms for it


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


def _in_gev(mass: Any) -> str:
    return f"{mass:.4g} GeV"


def shown(
    items: Sequence[_Item], progress: bool, tell: Callable[[_Item], str] = _in_gev
) -> Iterator[_Item]:
    """Masses, or other items, with a progress bar on standard error if wanted.

    Args:
        items: what is worked on.
        progress: whether to show the bar.
        tell: what the bar says of an item that is done.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not progress, transient=True) as bar:
        task = bar.add_task("compiling", total=len(items))
        for item in items:
            yield item
            bar.update(task, advance=1, description=tell(item))


def _reasons(skipped: Iterable[Skipped]) -> str:
    return "; ".join(sorted({each.reason for each in skipped}))

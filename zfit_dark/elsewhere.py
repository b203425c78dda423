"""The look-elsewhere effect by pseudo-experiments of a whole scan.

A toy is one set of candidates in the whole range of every channel, without a signal, and one set of
observed values of the constraints. All hypotheses look at the same toy, each at the part of it that
is in its window, so that what they find is as correlated as in data. Where windows move with the
mass, no fit describes the whole range: a candidate is drawn from the background that was fitted for
the hypothesis closest to it.

Source: E. Gross, O. Vitells, Eur. Phys. J. C 70 (2010) 525, arXiv:1005.1891, section 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.hypotheses import fitted, local_significance
from zfit_dark.newton import FloatArray
from zfit_dark.profile import TOYS, CompiledLoss, Draw
from zfit_dark.toys import Recipe, Table, cores, fits_of, make_room, recipe

_SAME = 1e-3
"""Expected counts of bins that differ by less, relatively, are the same at all masses."""


class Place(NamedTuple):
    """A hypothesis of a scan, and what the data look like without its signal.

    Attributes:
        mass: in GeV.
        peaks: of each channel: where the signal is, in GeV.
        windows: of each channel, in GeV: what the hypothesis looks at.
        recipe: how pseudo-experiments are made of the fit without signal.
        excess: root of the discovery test statistic q0 of the data.
    """

    mass: float
    peaks: tuple[float, ...]
    windows: tuple[tuple[float, float], ...]
    recipe: Recipe
    excess: float


def place(
    ours: CompiledLoss,
    mass: float,
    peaks: Sequence[float],
    windows: Sequence[tuple[float, float]],
    poi: Any,
) -> Place | None:
    """A hypothesis, with the model and the data as they stand now; None if its fits fail.

    Args:
        ours: the compiled loss.
        mass: the hypothesis, in GeV.
        peaks: where its signal is in each channel, in GeV.
        windows: of each channel, in GeV.
        poi: the parameter of interest.

    Raises:
        InputError: if toys cannot be drawn; see ``toys.recipe``.
    """
    data = ours.observed()
    fits = fitted(ours, data, ours.values(), poi).fits
    if not fits.converged.all():
        return None
    excess = local_significance(fits, float(fits.theta[0, ours.index(poi)]))
    made = recipe(ours, fits.theta[1], poi, data)
    return Place(mass, tuple(peaks), tuple(windows), made, excess)


def largest_excesses(
    ours: CompiledLoss,
    places: Sequence[Place],
    poi: Any,
    toys: int,
    seed: int,
    *,
    threads: int | None = None,
    shown: Callable[[list[range]], Iterable[range]] = iter,
) -> FloatArray:
    """The largest excess of each pseudo-experiment at any mass.

    Args:
        ours: the compiled loss.
        places: the hypotheses, in ascending mass.
        poi: the parameter of interest.
        toys: how many.
        seed: of the random numbers; the toys depend on nothing else.
        threads: that share the work; one a core if not given.
        shown: is given the batches of toys in the order in which they are waited for.

    Returns:
        Roots of the discovery test statistic q0, shape (toys,); NaN where a fit did not converge.

    Raises:
        InputError: if there is no hypothesis, or the bins of a binned channel are expected to hold
            other counts at other masses.
    """
    if not places:
        raise InputError("no toys of the scan: the fits of the data converged at no mass")
    everywhere = _everywhere(ours, places)
    make_room(ours, np.max([each.recipe.events for each in places], axis=0))

    def work(numbers: range) -> FloatArray:
        draws = [_sorted(draw) for draw in everywhere.draws(seed, numbers)]
        found = [_excesses(ours, each, everywhere, draws, poi) for each in places]
        largest: FloatArray = np.max(found, axis=0)
        return largest

    batches = [range(toys)[i : i + TOYS] for i in range(0, toys, TOYS)]
    with ThreadPoolExecutor(threads or cores()) as pool:
        running = [pool.submit(work, batch) for batch in batches]
        found = [running[batch.start // TOYS].result() for batch in shown(batches)]
    return np.concatenate([np.empty(0), *found])


def _excesses(
    ours: CompiledLoss, at: Place, everywhere: Recipe, draws: Sequence[Draw], poi: Any
) -> FloatArray:
    """Root of q0 of toys at a hypothesis."""
    moved = at.recipe.theta - everywhere.theta
    seen = []
    for draw in draws:
        points, weights = list(draw.points), list(draw.weights)
        for c, window in enumerate(at.windows):
            if not ours.binned:
                inside = slice(*np.searchsorted(points[c][:, 0], window))
                points[c], weights[c] = points[c][inside], weights[c][inside]
        seen.append(Draw(tuple(points), tuple(weights), draw.observations + moved))
    fits = fits_of(ours, seen, at.recipe, poi, np.zeros(1), None, not_below=0.0)
    excess: FloatArray = np.sqrt(np.maximum(2 * (fits.values[:, 0] - fits.lowest), 0.0))
    return excess


def _sorted(draw: Draw) -> Draw:
    """The same pseudo-experiment, with unbinned points in ascending order."""
    points = tuple(x if x.shape[1] == 0 else np.sort(x, axis=0) for x in draw.points)
    return draw._replace(points=points)


def _everywhere(ours: CompiledLoss, places: Sequence[Place]) -> Recipe:
    """How pseudo-experiments of the whole range are made."""
    first = places[0].recipe
    channels = list(zip(*(each.recipe.tables for each in places), strict=True))
    tables: list[Table | FloatArray] = []
    peaks = np.array([each.peaks for each in places])
    windows = np.array([each.windows for each in places])
    for c, (model, of_channel) in enumerate(zip(ours.loss.model, channels, strict=True)):
        if isinstance(of_channel[0], Table):
            tables.append(_stitched(peaks[:, c], windows[:, c], of_channel))
            continue
        if not all(np.allclose(table, of_channel[0], rtol=_SAME) for table in of_channel):
            raise InputError(
                f"no toys of the scan: the background of the bins of {model.name} depends on the "
                "mass; use unbinned channels"
            )
        tables.append(of_channel[0])
    sums = [t.integral[-1] if isinstance(t, Table) else t.sum() for t in tables]
    return Recipe(
        theta=first.theta,
        fixed=first.fixed,
        poi=0.0,
        events=tuple(map(float, sums)) if first.extended else first.events,
        tables=tuple(tables),
        extended=first.extended,
        spread=first.spread,
    )


def _stitched(peaks: FloatArray, windows: FloatArray, tables: Sequence[Table]) -> Table:
    """One density of tables, each valid in a window: of the closest mass whose window is there.

    Args:
        peaks: where the signals of the hypotheses are, ascending, shape (n,).
        windows: of each, shape (n, 2).
        tables: of each.
    """
    whole = np.array([(table.x[0], table.x[-1]) for table in tables])
    low, high = np.clip(windows, whole[:, :1], whole[:, 1:]).T
    edges = np.unique([*low, *high, *(0.5 * (peaks[1:] + peaks[:-1]))])
    edges = edges[(edges >= low.min()) & (edges <= high.max())]
    x, density = [], []
    for start, stop in pairwise(edges):
        there = (low <= start) & (high >= stop)
        if not there.any():
            x.append(np.array([start, stop]))
            density.append(np.zeros(2))
            continue
        away = np.where(there, np.abs(peaks - 0.5 * (start + stop)), np.inf)
        table = tables[int(np.argmin(away))]
        inside = table.x[slice(*np.searchsorted(table.x, [start, stop], side="right"))]
        points = np.concatenate([[start], inside[(inside > start) & (inside < stop)], [stop]])
        x.append(points)
        density.append(np.interp(points, table.x, table.density))
    return Table.of(np.concatenate(x), np.concatenate(density))

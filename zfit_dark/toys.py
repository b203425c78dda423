"""Pseudo-experiments: drawn from a model with all that fluctuates, fitted by the compiled loss.

A toy has its own number of events in every channel (Poisson, if the loss is extended) and its own
observed values of the Gaussian constraints. It is a function of the seed, of the parameter of
interest it is drawn with and of its number alone: batches and threads change nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zfit_dark.errors import InputError
from zfit_dark.newton import EDM_TOLERANCE, FloatArray
from zfit_dark.profile import TESTS, TOYS, CompiledLoss, Draw, Sample, Setting

_GRID = 4096
_REFINED = 1e-6
_MOST_REFINEMENTS = 40
_TINY = 1e-300

_GUIDES = 4
"""Entries of a table's guide for each of its cells."""

_TOGETHER = 40_000
"""Points that are drawn at a time, of several toys if they are small."""


class Table(NamedTuple):
    """A density on straight lines between points, for drawing from it.

    Attributes:
        x: ascending points, a jump of the density between two neighbouring floats.
        density: at the points.
        integral: up to each point.
        cells: those that are not empty, by their first point.
        ends: the integral up to the end of each of these, infinite for the last one.
        guide: of these, the last one below each of equally spaced parts of the integral.
    """

    x: FloatArray
    density: FloatArray
    integral: FloatArray
    cells: NDArray[np.intp]
    ends: FloatArray
    guide: NDArray[np.intp]

    @classmethod
    def of(cls, x: FloatArray, density: FloatArray) -> Table:
        """The table of a density at ascending points."""
        areas = 0.5 * np.diff(x) * (density[1:] + density[:-1])
        integral = np.concatenate([[0.0], np.cumsum(areas)])
        cells = np.flatnonzero(np.diff(integral) > 0)
        # half a step early, so that rounding never leads too far
        parts = (np.arange(_GUIDES * cells.size) - 0.5) / (_GUIDES * cells.size)
        guide = np.searchsorted(integral[cells], parts * integral[-1], side="right") - 1
        ends = np.append(integral[cells[1:]], np.inf)
        return cls(x, density, integral, cells, ends, np.maximum(guide, 0))

    def draw(self, uniform: FloatArray) -> FloatArray:
        """Points for uniform random numbers in [0, 1)."""
        wanted = uniform * self.integral[-1]
        cell = self.cells[self._places(uniform, wanted)]
        width = self.x[cell + 1] - self.x[cell]
        rest, low, high = wanted - self.integral[cell], self.density[cell], self.density[cell + 1]
        root = np.sqrt(np.maximum((width * low) ** 2 + 2 * width * (high - low) * rest, 0.0))
        part = 2 * rest / (width * low + root + _TINY)
        found: FloatArray = self.x[cell] + np.minimum(part, 1.0) * width
        return found

    def _places(self, uniform: FloatArray, wanted: FloatArray) -> NDArray[np.intp]:
        """The cells where the integral reaches values, as places in ``cells``.

        The guide is right or a little short: a search of the whole table takes three times as long.
        """
        place = self.guide[(uniform * self.guide.size).astype(np.intp)]
        short = np.flatnonzero(self.ends[place] <= wanted)
        while short.size:
            place[short] += 1
            short = short[self.ends[place[short]] <= wanted[short]]
        return place


@dataclass(frozen=True)
class Recipe:
    """How pseudo-experiments of a model are made.

    Attributes:
        theta: all parameters, shape (parameters,).
        fixed: the fixed ones.
        poi: the value of the parameter of interest among them.
        events: expected in each channel; of its data, if the loss is not extended.
        tables: of each channel's density; for a binned one the expected counts of its bins.
        extended: whether the number of events fluctuates.
        spread: times normal random numbers what the constraints' observations scatter by, shape
            (parameters, parameters).
    """

    theta: FloatArray
    fixed: FloatArray
    poi: float
    events: tuple[float, ...]
    tables: tuple[Table | FloatArray, ...]
    extended: bool
    spread: FloatArray

    def draw(self, seed: int, toy: int) -> Draw:
        """The pseudo-experiment of a number."""
        return self.draws(seed, [toy])[0]

    def draws(self, seed: int, toys: Sequence[int]) -> list[Draw]:
        """The pseudo-experiments of some numbers; the points of many are looked up at a time."""
        at_a_time = max(int(_TOGETHER / max(sum(self.events), 1.0)), 1)
        if len(toys) > at_a_time:
            parts = [toys[i : i + at_a_time] for i in range(0, len(toys), at_a_time)]
            return [draw for part in parts for draw in self.draws(seed, part)]
        random = [self._random(seed, toy) for toy in toys]
        points, weights = [], []
        for events, table in zip(self.events, self.tables, strict=True):
            if isinstance(table, Table):
                numbers = [
                    int(r.poisson(events)) if self.extended else round(events) for r in random
                ]
                uniform = [r.random(n) for r, n in zip(random, numbers, strict=True)]
                drawn = table.draw(np.concatenate(uniform))[:, None]
                points.append(np.split(drawn, np.cumsum(numbers)[:-1]))
                weights.append([np.ones(n) for n in numbers])
            else:
                points.append([np.empty((table.size, 0))] * len(toys))
                counts = [
                    r.poisson(table)
                    if self.extended
                    else r.multinomial(round(events), table / table.sum())
                    for r in random
                ]
                weights.append([each.astype(float) for each in counts])
        normal = [r.standard_normal(self.theta.size) for r in random]
        return [
            Draw(x, w, self.theta + self.spread @ z)
            for x, w, z in zip(
                zip(*points, strict=True), zip(*weights, strict=True), normal, strict=True
            )
        ]

    def _random(self, seed: int, toy: int) -> np.random.Generator:
        """The random numbers of a toy."""
        key = np.array([seed, np.float64(self.poi).view(np.uint64)], np.uint64)
        philox = np.random.Philox(key=key, counter=np.array([0, 0, 0, toy], np.uint64))
        return np.random.Generator(philox)


def cores() -> int:
    """Cores that this process may use; a batch system often leaves it a few of many."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_seed(seed: int) -> None:
    """Refuse what is no seed.

    Raises:
        InputError: if it is no whole number, negative or too large.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise InputError(f"seed={seed}: give a whole number from 0 to 2^64 - 1")


def check(ours: CompiledLoss) -> None:
    """Refuse a loss that toys cannot be drawn of.

    Raises:
        InputError: if a constraint is not Gaussian, or a channel has more than one observable.
    """
    for model in ours.loss.model:
        if not ours.binned and model.n_obs > 1:
            raise InputError(
                f"{model.name}: no toys for {model.n_obs} observables; bin the channel"
            )
    if names := ", ".join(type(each).__name__ for each in ours.constraints.others):
        raise InputError(
            f"toys need Gaussian constraints, one for each parameter; there is also: {names}"
        )


def recipe(ours: CompiledLoss, theta: FloatArray, poi: Any, data: Sample) -> Recipe:
    """How pseudo-experiments of these parameters are made.

    Args:
        ours: the compiled loss.
        theta: shape (parameters,).
        poi: the parameter of interest.
        data: stands where the toys shall, and has as many events if the loss is not extended.

    Raises:
        InputError: if a channel has more than one observable, a density is negative or not a
            number, or a constraint is not Gaussian.
    """
    check(ours)
    setting = data.setting
    if ours.binned:
        found = ours.densities(theta, [np.empty(n) for n in data.capacity], fixed=setting.fixed)
        tables: list[Table | FloatArray] = [each.density for each in found]
        sums = [float(each.density.sum()) for each in found]
    else:
        made = _tables(
            lambda points: ours.densities(theta, points, fixed=setting.fixed), setting.breakpoints
        )
        tables, sums = list(made), [float(each.integral[-1]) for each in made]
    for model, table in zip(ours.loss.model, tables, strict=True):
        density = table.density if isinstance(table, Table) else table
        if not (np.isfinite(density).all() and (density >= 0).all()):
            raise InputError(
                f"no toys: the density of {model.name} is negative or not a number somewhere"
            )
    extended = not setting.events
    return Recipe(
        theta=theta,
        fixed=setting.fixed,
        poi=float(theta[ours.index(poi)]),
        events=tuple(sums) if extended else setting.events,
        tables=tuple(tables),
        extended=extended,
        spread=ours.constraints.scatter,
    )


def _tables(
    densities: Callable[[list[FloatArray]], Any], breakpoints: Sequence[FloatArray]
) -> list[Table]:
    """Densities between their breakpoints, on cells halved until straight lines do.

    Args:
        densities: points of all channels to what is expected there.
        breakpoints: of each channel.
    """

    def at(points: Sequence[FloatArray]) -> list[FloatArray]:
        """Densities, asked for in blocks of the same size so that one program does it."""
        longest = max(len(x) for x in points)
        found: list[list[FloatArray]] = [[] for _ in points]
        for first in range(0, longest, _GRID):
            blocks = [x[first : first + _GRID] for x in points]
            padded = [
                np.append(b, np.full(_GRID - b.size, x[0]))
                for b, x in zip(blocks, points, strict=True)
            ]
            for mine, each, block in zip(found, densities(padded), blocks, strict=True):
                mine.append(each.density[: block.size])
        return [np.concatenate(mine) for mine in found]

    x = [_cells(edges) for edges in breakpoints]
    f = at(x)
    suspect = [np.ones(each.size - 1, bool) for each in x]
    for _ in range(_MOST_REFINEMENTS):
        middle = [0.5 * (a[:-1] + a[1:]) for a in x]
        # between neighbouring floats there is no middle: that is a jump
        inside = [
            s & (m > a[:-1]) & (m < a[1:]) for s, m, a in zip(suspect, middle, x, strict=True)
        ]
        if not any(each.any() for each in inside):
            break
        asked = [m[i] if i.any() else a[:1] for m, i, a in zip(middle, inside, x, strict=True)]
        for c, density in enumerate(at(asked)):
            where = np.flatnonzero(inside[c])
            if not where.size:
                suspect[c] = np.zeros(x[c].size - 1, bool)
                continue
            width = np.diff(x[c])
            # of a density that is negative somewhere too, which is refused later
            area = float(np.sum(0.5 * width * np.abs(f[c][1:] + f[c][:-1])))
            away = np.abs(density - 0.5 * (f[c][where] + f[c][where + 1])) * width[where]
            bent = np.zeros(x[c].size - 1, bool)
            bent[where] = away > _REFINED * area / _GRID
            x[c] = np.insert(x[c], where + 1, middle[c][where])
            f[c] = np.insert(f[c], where + 1, density)
            # both halves of a cell that was bent are looked at again
            was = np.zeros(bent.size, int)
            was[where] = 1
            suspect[c] = np.repeat(bent, 1 + was)
    return [Table.of(*each) for each in zip(x, f, strict=True)]


def _cells(breakpoints: FloatArray) -> FloatArray:
    """Points to begin with: evenly between breakpoints, and on both sides of each."""
    edges = np.unique(breakpoints)
    share = np.diff(edges) / (edges[-1] - edges[0])
    pieces = [
        np.linspace(np.nextafter(low, high), np.nextafter(high, low), max(int(_GRID * part), 3))
        for low, high, part in zip(edges[:-1], edges[1:], share, strict=True)
    ]
    return np.unique(np.concatenate(pieces))


class Fits(NamedTuple):
    """Fits of pseudo-experiments; NaN where one did not converge.

    Attributes:
        best: free best fit of the parameter of interest, shape (toys,).
        lowest: negative log-likelihood there, shape (toys,).
        values: that of the fits at given values of the parameter of interest, shape (toys, values).
        truth: that of the parameters the toys were drawn with, shape (toys,).
        others: that of other parameters, which go with the values, shape (toys, values).
    """

    best: FloatArray
    lowest: FloatArray
    values: FloatArray
    truth: FloatArray
    others: FloatArray

    @property
    def failed(self) -> int:
        """How many toys have a fit that did not converge."""
        return int((~np.isfinite(self.lowest) | ~np.isfinite(self.values).all(axis=1)).sum())


def fitted(
    ours: CompiledLoss,
    recipe: Recipe,
    poi: Any,
    at: Sequence[float] | FloatArray,
    others: FloatArray | None,
    toys: range,
    seed: int,
    *,
    not_below: float = -np.inf,
    threads: int | None = None,
    batch: int = TOYS,
) -> Fits:
    """Draw pseudo-experiments and fit them, freely and at values of the parameter of interest.

    What Newton's steps do not bring down is left to Minuit.

    Args:
        ours: the compiled loss.
        recipe: what is drawn.
        poi: the parameter of interest.
        at: values of the parameter of interest, at most ``profile.TESTS``.
        others: parameters at which the likelihood is wanted, too, shape (values, parameters), and
            at those that the toys are drawn with; None if it is not.
        toys: numbers of the toys.
        seed: of the random numbers.
        not_below: a lower limit of the parameter of interest in the free fit.
        threads: that share the work; one a core if not given.
        batch: toys that a thread takes up at a time; the results do not depend on it.

    Raises:
        InputError: if too many values are asked for at once.
    """
    tests = np.asarray(at, float)
    if tests.size > TESTS:
        raise InputError(f"{tests.size} values of the parameter of interest; at most {TESTS}")
    make_room(ours, recipe.events)

    def work(numbers: range) -> Fits:
        draws = recipe.draws(seed, numbers)
        return fits_of(ours, draws, recipe, poi, tests, others, not_below)

    batches = [toys[i : i + batch] for i in range(0, len(toys), batch)]
    none, no_tests = np.empty(0), np.empty((0, tests.size))
    with ThreadPoolExecutor(threads or cores()) as pool:
        found = [Fits(none, none, no_tests, none, no_tests), *pool.map(work, batches)]
    return Fits(*(np.concatenate(each) for each in zip(*found, strict=True)))


def make_room(ours: CompiledLoss, expected: Sequence[float] | FloatArray) -> None:
    """Make room for so many events that no toy ever needs a larger program.

    Args:
        ours: the compiled loss.
        expected: events of each channel.
    """
    if not ours.binned:
        ours.reserve([int(n + 10 * np.sqrt(n) + 20) for n in expected])


def fits_of(
    ours: CompiledLoss,
    draws: Sequence[Draw],
    recipe: Recipe,
    poi: Any,
    at: FloatArray,
    others: FloatArray | None,
    not_below: float = -np.inf,
) -> Fits:
    """Fit pseudo-experiments, freely and at values of the parameter of interest.

    What Newton's steps do not bring down is left to Minuit.

    Args:
        ours: the compiled loss.
        draws: the pseudo-experiments.
        recipe: its parameters are where the fits start, and where the model stands.
        poi: the parameter of interest.
        at: its values that it is held at, one fit each.
        others: see ``CompiledLoss.fit_toys``.
        not_below: a lower limit of the parameter of interest in the free fit.
    """
    found = ours.fit_toys(draws, recipe.theta, poi, at, others, recipe.fixed, not_below)
    for i, draw in enumerate(draws):
        if not (found[i, :, 2] <= EDM_TOLERANCE).all():
            found[i, :, :3] = _by_minuit(ours, draw, recipe, poi, at, not_below)
    best, value, edm, looked = np.moveaxis(found, 2, 0)
    value = np.where(edm <= EDM_TOLERANCE, value, np.nan)
    return Fits(best[:, 0], value[:, 0], value[:, 1:], looked[:, 0], looked[:, 1:])


def _by_minuit(
    ours: CompiledLoss,
    draw: Draw,
    recipe: Recipe,
    poi: Any,
    tests: FloatArray,
    not_below: float,
) -> FloatArray:
    """A toy once more, with Minuit where Newton's steps fail: rows of best fit, value and EDM."""
    index = ours.index(poi)
    setting = Setting(recipe.fixed, (), recipe.events)
    sample = ours.sample(draw.points, draw.weights, setting, draw.observations)
    start = np.tile(recipe.theta, (1 + tests.size, 1))
    start[1:, index] = tests
    free = np.ones(start.shape, bool)
    free[1:, index] = False
    lower = ours.lower
    lower[index] = max(lower[index], not_below)
    minimum = ours.fit(sample, start, free, lower)
    if not minimum.converged[0] and lower[index] < 0:
        # on its way to a negative signal a fit may meet a negative density
        lower[index] = 0.0
        minimum = ours.fit(sample, start, free, lower)
    return np.column_stack([minimum.theta[:, index], minimum.value, minimum.edm])

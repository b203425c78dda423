"""Goodness of fit by toys: how often would the fitted model give data that are less like it?

Two statistics of a fit, each summed over the channels, are larger where the fit is worse:

- saturated, 2 sum_k [mu_k - n_k + n_k log(n_k / mu_k)]: twice the log of the likelihood ratio of
  a model that expects what was counted and of the fitted one, n_k events counted and mu_k expected
  in bin k. The bins hold equal shares of the fitted density; those of a binned loss are its own.
- Anderson-Darling, A^2 = -n - (1/n) sum_i (2i - 1) [log u_i + log(1 - u_(n+1-i))], with u_i, in
  ascending order, the share of the fitted density below event i of n. It does not look at how many
  events there are. A channel without events has A^2 = 0.

Parameters are estimated from the same data, so tabulated p-values apply to neither. Toys are drawn
from the fitted model and fitted again as the data were.

Source: S. Baker, R. D. Cousins, Nucl. Instrum. Meth. 221 (1984) 437, eq. 15 (saturated);
T. W. Anderson, D. A. Darling, Ann. Math. Stat. 23 (1952) 193; M. A. Stephens, J. Am. Stat. Assoc.
69 (1974) 730 (A^2 as a sum, and what estimated parameters do to it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import kl_div

from zfit_dark.errors import InputError
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import loss_and_poi
from zfit_dark.newton import FloatArray
from zfit_dark.profile import CompiledLoss, Sample, compiled
from zfit_dark.results import GoodnessOfFit
from zfit_dark.toys import Recipe, Table, check, check_seed, cores, make_room, recipe

_Found = TypeVar("_Found")

_NODES = 4096
"""Where a density is evaluated: as many points as toys.recipe asks for in one call, so that one
program serves both."""

_OFF_EDGE = 1e-12
"""An event on the very edge of the range has this share of the density beyond it, not none."""

_TRIFLE = 1e-9
"""Toys are drawn this part of the way back from the fit to its start: a yield that ended at zero
leaves no density to draw from, not even no events."""

_MOST_FAILED = 0.01


def goodness_of_fit(
    model: Any,
    poi: Any = None,
    mass: float | None = None,
    *,
    toys: int = 500,
    seed: int = 1,
    bins: int = 40,
    with_signal: bool = True,
    pseudo_data: bool = False,
) -> GoodnessOfFit:
    """Fit the data and tell by toys how well the fit describes them.

    Two statistics, a binned and an unbinned one: that of the saturated model, 2 sum [mu - n +
    n log(n / mu)] over bins of equal shares of the fitted density (a binned loss: over its own
    bins), and Anderson-Darling's A^2 of the events (not for a binned loss). Both are summed over
    the channels. Terms of the constraints are no part of them.

    The parameters are estimated from the same data, so that neither follows its tabulated
    distribution, and a tabulated p-value would be too large. Here toys are drawn from the fitted
    model, with numbers of events and observations of Gaussian constraints that fluctuate, and each
    is fitted as the data were: with a signal that may be negative, but not so much that it takes
    all of the data's fitted background away somewhere. A fit that fails, or ends where a density is
    negative, is made again with the signal not below zero. The values of the model's parameters are
    left as they were.

    Args:
        model: a ``Likelihood``, or a zfit loss.
        poi: the floating parameter that measures the signal; a ``Likelihood`` knows its own.
        mass: moves a ``Likelihood`` to this hypothesis first, in GeV; it stays where it is if not
            given.
        toys: how many. A p-value is not smaller than 1 / (1 + toys).
        seed: of the random numbers, not negative. Results depend on it, not on the cores used.
        bins: of each channel, for the saturated statistic of an unbinned loss.
        with_signal: fit the parameter of interest; or hold it at zero.
        pseudo_data: whether the data are not real.

    Returns:
        Both statistics with their p-values, (1 + toys at least as large) / (1 + toys). ``valid`` is
        False where the data could not be fitted, or more than 1 % of the toys.

    Raises:
        InputError: for numbers that make no sense, a mass with a bare loss or that cannot be a
            hypothesis, data with weights, a parameter that does not float in the loss, or a model
            that toys cannot be drawn of.

    Source: S. Baker, R. D. Cousins, Nucl. Instrum. Meth. 221 (1984) 437; T. W. Anderson,
    D. A. Darling, Ann. Math. Stat. 23 (1952) 193; M. A. Stephens, J. Am. Stat. Assoc. 69 (1974)
    730.
    """
    loss, poi = loss_and_poi(model, poi)
    if mass is not None:
        if not isinstance(model, Likelihood):
            raise InputError("mass= is for a Likelihood; set the parameters of a bare loss instead")
        model.move_to(mass)
    ours = compiled(loss)
    return judge(
        ours,
        ours.observed(),
        ours.values(),
        poi,
        toys=toys,
        seed=seed,
        bins=bins,
        with_signal=with_signal,
        pseudo_data=pseudo_data,
    )


def judge(
    ours: CompiledLoss,
    data: Sample,
    start: FloatArray,
    poi: Any,
    *,
    toys: int,
    seed: int = 1,
    bins: int = 40,
    with_signal: bool = True,
    pseudo_data: bool = False,
    held: NDArray[np.bool_] | None = None,
) -> GoodnessOfFit:
    """The goodness of a fit to a sample; see ``goodness_of_fit``.

    Args:
        ours: the compiled loss.
        data: the sample; the toys stand where it stands.
        start: where the fit without signal starts, shape (parameters,).
        poi: the parameter of interest.
        toys: how many.
        seed: of the random numbers.
        bins: of each channel, for the saturated statistic of an unbinned loss.
        with_signal: fit the parameter of interest; or hold it at zero.
        pseudo_data: whether the data are not real.
        held: parameters that stay where they start, shape (parameters,).

    Raises:
        InputError: see ``goodness_of_fit``.
    """
    _check(ours, data, toys, seed, bins)
    make_room(ours, [float(weight.sum()) for weight in data.weights])
    data = ours.sample(data.points, data.weights, data.setting, data.observations)
    start, index = start.copy(), ours.index(poi)
    start[index] = 0.0
    free = np.ones(start.shape, bool) if held is None else ~held
    at_zero = free & (np.arange(start.size) != index)
    floating = free if with_signal else at_zero
    names = tuple(model.name for model in ours.loss.model)

    def result(
        observed: FloatArray, found: FloatArray, failed: int, *warnings: str
    ) -> GoodnessOfFit:
        return GoodnessOfFit(
            channels=names,
            events=np.array([weight.sum() for weight in data.weights]),
            channel_saturated=observed[0],
            channel_anderson_darling=observed[1],
            toy_saturated=found[:, 0],
            toy_anderson_darling=found[:, 1],
            toys=toys,
            failed=failed,
            seed=seed,
            with_signal=with_signal,
            valid=np.isfinite(observed[0]).all() and failed <= _MOST_FAILED * toys,
            warnings=warnings,
            pseudo_data=pseudo_data,
        )

    nothing = np.full((2, len(names)), np.nan)
    try:
        without = _fitted(ours, data, start, at_zero, index, -np.inf, lambda theta: theta)
        lowest = _lowest(ours, without, index, data)
        made = _fitted(
            ours,
            data,
            without,
            floating,
            index,
            lowest,
            lambda theta: recipe(ours, theta + _TRIFLE * (start - theta), poi, data),
        )
    except InputError as error:  # of this hypothesis: a plot of its fit can still be made
        return result(nothing, np.empty((0, *nothing.shape)), 0, str(error))
    make_room(ours, made.events)
    edges = [
        _panels(table, jumps)
        for table, jumps in zip(made.tables, data.setting.breakpoints, strict=True)
        if isinstance(table, Table)  # not the counts of a binned loss
    ]

    def toy(number: int) -> FloatArray:
        draw = made.draw(seed, number)
        sample = ours.sample(draw.points, draw.weights, data.setting, draw.observations)
        try:
            return _fitted(
                ours,
                sample,
                made.theta,
                floating,
                index,
                lowest,
                lambda theta: _statistics(ours, theta, sample, made, edges, bins),
            )
        except InputError:
            return nothing

    observed = _statistics(ours, made.theta, data, made, edges, bins)
    with ThreadPoolExecutor(cores()) as pool:
        found = np.stack(list(pool.map(toy, range(toys))))
    good = np.isfinite(found[:, 0]).all(axis=1)
    failed = int(np.sum(~good))
    warnings = [f"{failed} of {toys} toys could not be fitted and were left out"] if failed else []
    return result(observed, found[good], failed, *warnings)


def _check(ours: CompiledLoss, data: Sample, toys: int, seed: int, bins: int) -> None:
    """Refuse what there are no toys of, and numbers that make no sense."""
    for name, number, least in (("toys", toys, 1), ("bins", bins, 2)):
        if not isinstance(number, int | np.integer) or number < least:
            raise InputError(f"{name}={number}: give a whole number, at least {least}")
    check_seed(seed)
    check(ours)
    for model, weights in zip(ours.loss.model, data.weights, strict=True):
        if not ours.binned and np.any(weights != 1.0):
            raise InputError(
                f"{model.name}: its data have weights, and toys have none; fit unweighted data"
            )


def _fitted(
    ours: CompiledLoss,
    sample: Sample,
    start: FloatArray,
    free: NDArray[np.bool_],
    index: int,
    lowest: float,
    use: Callable[[FloatArray], _Found],
) -> _Found:
    """Fit a sample, and put the fit to use.

    A free fit that fails, or cannot be used, is made again with the signal not below zero.

    Args:
        ours: the compiled loss.
        sample: the data.
        start: where the fit starts, shape (parameters,).
        free: which parameters it may move, shape (parameters,).
        index: of the parameter of interest.
        lowest: that it may be.
        use: parameters of the fit to what is made of them; raises InputError if they are no use.

    Raises:
        InputError: if the fit did not converge, or cannot be used.
    """
    lower, problem = ours.lower, InputError("the fit did not converge")
    for bound in (lowest, 0.0) if free[index] else (lowest,):
        lower[index] = max(lower[index], bound)
        minimum = ours.fit(sample, start[None], free[None], lower)
        if minimum.converged[0]:
            try:
                return use(minimum.theta[0])
            except InputError as error:
                problem = error
    raise problem


def _lowest(ours: CompiledLoss, without: FloatArray, index: int, data: Sample) -> float:
    """The signal that takes all of the background away somewhere; no fit need go below.

    Args:
        ours: the compiled loss.
        without: the fit without signal, shape (parameters,).
        index: of the parameter of interest.
        data: stands where the model shall.
    """
    nodes = [np.empty(n) for n in data.capacity] if ours.binned else _evenly(data)
    along = (np.arange(without.size) == index).astype(float)
    found = ours.densities(without, nodes, along, data.setting.fixed)
    with np.errstate(over="ignore"):  # far from the peak
        room = [
            np.min(e.density[e.slope > 0] / e.slope[e.slope > 0], initial=np.inf) for e in found
        ]
    return -float(max(min(room), 0.0))


def _evenly(sample: Sample) -> list[FloatArray]:
    """Points evenly over the range of each channel; none for a binned loss."""
    return [np.linspace(b[0], b[-1], _NODES) for b in sample.setting.breakpoints if b.size]


def _densities(
    ours: CompiledLoss, theta: FloatArray, sample: Sample, nodes: Sequence[FloatArray]
) -> list[FloatArray]:
    """Density of each channel at its nodes; for a binned loss, the expected counts of its bins.

    Raises:
        InputError: if one is negative somewhere.
    """
    at = [np.empty(n) for n in sample.capacity] if ours.binned else nodes
    found = [e.density for e in ours.densities(theta, at, fixed=sample.setting.fixed)]
    for model, density in zip(ours.loss.model, found, strict=True):
        if not (density >= 0).all():
            raise InputError(f"no toys: the fitted density of {model.name} is negative somewhere")
    return found


def _statistics(
    ours: CompiledLoss,
    theta: FloatArray,
    sample: Sample,
    made: Recipe,
    edges: Sequence[FloatArray],
    bins: int,
) -> FloatArray:
    """Saturated and Anderson-Darling statistic of each channel of a fit, shape (2, channels).

    Args:
        ours: the compiled loss.
        theta: the fit, shape (parameters,).
        sample: what was fitted.
        made: the recipe of the toys, for the number of events of a loss that is not extended.
        edges: of each channel's quadrature panels; none for a binned loss.
        bins: of each channel.

    Raises:
        InputError: if a density is negative somewhere.
    """
    densities = _densities(ours, theta, sample, [_nodes(each) for each in edges])
    found = np.full((2, len(densities)), np.nan)
    for c, density in enumerate(densities):
        if ours.binned:
            counts, expected = sample.weights[c], density
        else:
            below, total = _below(edges[c], density, sample.points[c][:, 0])
            u = np.clip(below / total, _OFF_EDGE, 1 - _OFF_EDGE)
            counts, expected = np.histogram(u, bins, (0.0, 1.0))[0], np.full(bins, total / bins)
            found[1, c] = _anderson_darling(u)
        if not made.extended:
            expected = expected * (made.events[c] / expected.sum())
        # n log(n / mu) - n + mu, also for no events
        found[0, c] = 2 * kl_div(counts, expected).sum()
    return found


def _anderson_darling(u: FloatArray) -> float:
    """A^2 of shares of a density below events; 0 without any."""
    n, u = u.size, np.sort(u)
    if n == 0:
        return 0.0
    weight = (2 * np.arange(n) + 1) / n
    return float(-n - np.sum(weight * (np.log(u) + np.log1p(-u[::-1]))))


def _panels(table: Table, breakpoints: FloatArray) -> FloatArray:
    """Edges of quadrature panels: every so many points of a table, and all breakpoints.

    The points of the table are close where the density bends, so the panels are narrow there.
    """
    jumps = np.unique(breakpoints)
    inner = np.linspace(0, table.x.size - 1, _NODES // 2 + 3 - jumps.size)[1:-1]
    return np.union1d(table.x[inner.astype(int)], jumps)


def _nodes(edges: FloatArray) -> FloatArray:
    """Gauss-Legendre nodes, two a panel, ascending."""
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    return np.ravel(middle[:, None] + half[:, None] * np.array([-1.0, 1.0]) / np.sqrt(3.0))


def _below(edges: FloatArray, density: FloatArray, x: FloatArray) -> tuple[FloatArray, float]:
    """Integral of a density up to points, and its whole integral.

    On each panel the density is taken as the straight line through its values at the two nodes;
    the integral over the panel is right for a cubic.

    Args:
        edges: of the panels.
        density: at their nodes.
        x: the points.
    """
    first, second = density.reshape(-1, 2).T
    half, mean, slope = 0.5 * np.diff(edges), 0.5 * (first + second), 0.75**0.5 * (second - first)
    integral = np.append(0.0, np.cumsum(2 * half * mean))
    panel = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, half.size - 1)
    t = (x - edges[panel]) / half[panel] - 1  # from -1 to 1 on the panel
    inside = half[panel] * (t + 1) * (mean[panel] + 0.5 * slope[panel] * (t - 1))
    return integral[panel] + inside, float(integral[-1])

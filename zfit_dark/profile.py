"""A zfit loss as one compiled function of its parameters and its data.

With d(x) the expected density of a channel (yield times PDF; for a binned loss, the expected
counts) and w the weights of its points, every supported loss is

    NLL = sum over channels [ expected events - sum_i w_i log d(x_i) ] + constraints,

where the expected events drop out if the loss is not extended. Its expected curvature is
sum_i w_i (grad log d)(grad log d)^T plus that of the constraints.

XLA compiles a program once, when it is first needed; data, masses and starting points are its
arguments. "hypothesis" is all of a limit in one call: the fits of the data, the Asimov set with its
nodes, and the search for the six limits. The others are its pieces, for hepstats' calculators and
for plots: "fit" minimises from several starting points, "asimov" makes an Asimov set, "expected"
gives densities and "hessian" second derivatives.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from iminuit import Minuit
from numpy.typing import NDArray

from zfit_dark import asymptotics, programs
from zfit_dark.asimov import nodes_of, quadrature
from zfit_dark.errors import InputError
from zfit_dark.losses import BINNED, check
from zfit_dark.newton import (
    MAX_ITERATIONS,
    FloatArray,
    Minimum,
    as_row,
    inside,
    minimise,
    response,
    row_length,
)
from zfit_dark.terms import Channel, Constraints, Parameters

ROWS = 8
"""Most fits that one call of a program takes."""

TESTS = 7
"""Most values of the parameter of interest that one call tests a toy at."""

TOYS = 64
"""Most toys that one call of a program fits."""

_STEP = 0.01
"""Of differences of gradients, in standard deviations."""

_FEWEST = 256
"""Points of a channel that there is always room for."""


class Setting(NamedTuple):
    """Where a model stands.

    Attributes:
        fixed: values of the fixed parameters.
        breakpoints: one array a channel: where its density may jump; empty if it is binned.
        events: of each channel's data, for a loss that is not extended.
    """

    fixed: FloatArray
    breakpoints: tuple[FloatArray, ...]
    events: tuple[float, ...]


@dataclass(frozen=True)
class Sample:
    """What the likelihood is evaluated on: points, weights, values of the fixed parameters.

    Attributes:
        points: one array a channel, shape (points, observables); shape (bins, 0) for a binned
            channel.
        weights: one array a channel, shape (points,).
        setting: where the model stands for it.
        observations: what Gaussian constraints observed, shape (parameters,); no matter for
            parameters without one.
        capacity: number of points that each channel is padded to.
        padded: points and weights as the compiled programs read them.
    """

    points: tuple[FloatArray, ...]
    weights: tuple[FloatArray, ...]
    setting: Setting
    observations: FloatArray
    capacity: tuple[int, ...]
    padded: tuple[tf.Tensor, tf.Tensor]


class Hypothesis(NamedTuple):
    """What one call finds out about a hypothesis.

    Attributes:
        limits: five expected limits and the observed one; NaN where there is none.
        sigma: one standard deviation of the parameter of interest without signal, as expected.
        poi_error: the same at the best fit.
        asimov_error: largest relative difference, over the channels, between the events or the
            signal events that the Asimov set adds up to and those that the model's integral gives.
        signal_per_poi: signal events in all channels per unit of the parameter of interest (0 if
            the loss is not extended).
        fits: the free fit and the one without signal.
    """

    limits: FloatArray
    sigma: float
    poi_error: float
    asimov_error: float
    signal_per_poi: float
    fits: Minimum


class Expected(NamedTuple):
    """Expectation of a channel at points of a sample.

    Attributes:
        density: shape (points,).
        slope: of the density along a direction in the space of the parameters, shape (points,).
        events: integral of the density; 0 if the loss is not extended.
        event_slope: its slope along the direction.
    """

    density: FloatArray
    slope: FloatArray
    events: float
    event_slope: float


class Draw(NamedTuple):
    """A pseudo-experiment.

    Attributes:
        points: one array a channel, shape (points, observables); shape (bins, 0) if binned.
        weights: one array a channel, shape (points,); counts if binned.
        observations: what the constraints observed, shape (parameters,).
    """

    points: tuple[FloatArray, ...]
    weights: tuple[FloatArray, ...]
    observations: FloatArray


class CompiledLoss:
    """The likelihood of a zfit loss, compiled; see the module's text.

    Args:
        loss: a zfit ``UnbinnedNLL``, ``ExtendedUnbinnedNLL``, ``BinnedNLL`` or
            ``ExtendedBinnedNLL``.

    Attributes:
        parameters: the floating parameters, in the order of ``theta`` everywhere.
        binned: whether the loss counts bins.
        constraints: what is known of the parameters besides the data.

    Raises:
        InputError: if the loss is refused by ``losses.check``.
    """

    def __init__(self, loss: Any) -> None:
        check(loss)
        self.loss = loss
        self._all = Parameters(loss)
        self.parameters = self._all.floating
        extended, self.binned = bool(loss.is_extended), type(loss) in BINNED
        self._channels = [Channel(m, extended, self.binned, self._all) for m in loss.model]
        self._counts = not extended
        self._roomy = (0,) * len(self._channels)
        # numbers of a setting: events of all channels, breakpoints of each
        self._setting_sizes = (
            0 if extended else len(self._channels),
            0 if self.binned else max(channel.edges for channel in self._channels),
        )
        self.constraints = Constraints(loss.constraints or (), self._all)
        self._programs: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self._by_xla = True

    @property
    def lower(self) -> FloatArray:
        """Present lower limits of the parameters, shape (parameters,)."""
        return self._all.lower

    @property
    def upper(self) -> FloatArray:
        """Present upper limits of the parameters, shape (parameters,)."""
        return self._all.upper

    # ------------------------------------------------------------------ samples

    def outdated(self) -> bool:
        """Whether parameters were fixed or released since."""
        return not all(p.floating for p in self.parameters) or any(
            p.floating for p in self._all.fixed
        )

    def values(self) -> FloatArray:
        """Present values of the floating parameters, shape (parameters,)."""
        return self._all.values(self.parameters)

    def fixed_values(self) -> FloatArray:
        """Present values of the fixed parameters."""
        return self._all.values(self._all.fixed)

    def index(self, parameter: Any) -> int:
        """Where a floating parameter stands in ``theta``.

        Raises:
            InputError: if the loss does not float it.
        """
        if parameter not in self.parameters:
            names = ", ".join(p.name for p in self.parameters)
            raise InputError(
                f"parameter {getattr(parameter, 'name', parameter)!r} does not float in the loss; "
                f"those that do: {names}"
            )
        return self.parameters.index(parameter)

    def observed(self) -> Sample:
        """The data of the loss as they are now, with the fixed parameters as they are now."""
        return self.sample(*self._data())

    def fingerprint(self) -> int:
        """A number that changes with the data, their weights or the fixed parameters."""
        points, weights = self._data()
        return hash(tuple(a.tobytes() for a in (*points, *weights, self.fixed_values())))

    def _data(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """Points and weights of the data of every channel."""
        points, weights = [], []
        for channel, data in zip(self._channels, self.loss.data, strict=True):
            if channel.binned:
                counts = np.ravel(np.asarray(data.values(), float))
                points.append(np.empty((counts.size, 0)))
                weights.append(counts)
            else:
                values, weight = np.asarray(data.value(), float), data.weights
                points.append(values)
                weights.append(np.ones(len(values)) if weight is None else np.asarray(weight))
        return points, weights

    def events(self) -> list[int]:
        """How many points of data each channel has now, the bins of a binned one."""
        return [len(weights) for weights in self._data()[1]]

    def setting(self) -> Setting:
        """Where the model stands now."""
        fixed = self.fixed_values()
        known = dict(zip(self._all.fixed, fixed, strict=True))

        def value(edge: Any) -> float:
            return float(known[edge] if edge in known else edge.value())

        return Setting(
            fixed,
            tuple(c.breakpoints(value, self._setting_sizes[1]) for c in self._channels),
            tuple(float(data.samplesize) for data in self.loss.data) if self._counts else (),
        )

    def reserve(self, events: Sequence[int]) -> None:
        """Make room for this many events a channel, so that a scan never needs a second program."""
        self._capacity(events)

    def sample(
        self,
        points: Sequence[FloatArray],
        weights: Sequence[FloatArray],
        setting: Setting | None = None,
        observations: FloatArray | None = None,
    ) -> Sample:
        """Points and weights made ready for the programs.

        Args:
            points: one array a channel, shape (points, observables).
            weights: one array a channel, shape (points,).
            setting: where the model shall stand; where it stands now if not given.
            observations: of Gaussian constraints, shape (parameters,); those of the loss if not
                given.
        """
        setting = self.setting() if setting is None else setting
        if observations is None:
            observations = self.constraints.observed
        capacity = self._capacity([len(x) for x in points])
        padded = (
            tf.constant(self._padded(points, capacity)),
            tf.constant(self._padded_weights(weights, capacity)),
        )
        return Sample(tuple(points), tuple(weights), setting, observations, capacity, padded)

    def _padded(self, points: Sequence[FloatArray], capacity: tuple[int, ...]) -> FloatArray:
        """Points of all channels one after the other, observable by observable."""
        padded = []
        for channel, n, x in zip(self._channels, capacity, points, strict=True):
            filled = np.empty((channel.dimensions, n))
            filled[:, : len(x)] = x.T
            filled[:, len(x) :] = x[:1].T if len(x) else channel.middle[:, None]
            padded.append(filled.ravel())
        return np.concatenate(padded)

    @staticmethod
    def _padded_weights(weights: Sequence[FloatArray], capacity: tuple[int, ...]) -> FloatArray:
        """Weights of all channels one after the other, zero where there is no point."""
        padded, start = np.zeros(sum(capacity)), 0
        for n, w in zip(capacity, weights, strict=True):
            padded[start : start + len(w)] = w
            start += n
        return padded

    def asimov(
        self, theta: FloatArray, poi: Any, setting: Setting | None = None
    ) -> tuple[Sample, float, float]:
        """The Asimov set of these parameters: the expectation itself taken as data.

        Unbinned channels get quadrature nodes that follow the signal, that is the part of the
        density that moves with the parameter of interest, and stop at the edges of holes.

        Args:
            theta: shape (parameters,).
            poi: the parameter of interest.
            setting: where the model shall stand; where it stands now if not given.

        Returns:
            The sample; the largest relative difference, over the channels, between the events or
            the signal events that the nodes add up to and those that the model's integral gives;
            the signal events in all channels per unit of the parameter of interest (0 if not
            extended).

        Raises:
            InputError: if a channel has more than one observable.
        """
        setting = self.setting() if setting is None else setting
        capacity = self._nodes()
        request = np.concatenate([theta, setting.events, setting.fixed, *setting.breakpoints])
        program = self._program("asimov", capacity, self.index(poi))
        facts, *padded = program(tf.constant(request))
        ends = np.cumsum(capacity)[:-1]
        weights = np.split(padded[1].numpy(), ends)
        if self.binned:
            points = [np.empty((n, 0)) for n in capacity]
        else:
            points = [x[:, None] for x in np.split(padded[0].numpy(), ends)]
        made = padded[0], padded[1]
        sample = Sample(tuple(points), tuple(weights), setting, theta, capacity, made)
        error, signal_per_poi = facts.numpy()
        return sample, float(error), float(signal_per_poi)

    # ------------------------------------------------------------------ evaluation

    def evaluate(
        self, theta: FloatArray, sample: Sample
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Negative log-likelihood, gradient and expected curvature of a batch of parameter sets.

        Args:
            theta: shape (fits, parameters).
            sample: where to evaluate.

        Returns:
            value (fits,), gradient (fits, parameters), curvature (fits, parameters, parameters).
            The value is that of the zfit loss up to a constant that depends only on the sample.
        """
        found = self._fits(sample, theta, np.zeros(theta.shape, bool), 1)
        return found.value, found.gradient, found.curvature

    def hessian(self, theta: FloatArray, sample: Sample) -> FloatArray:
        """Second derivatives of the negative log-likelihood, shape (parameters, parameters).

        Not to be confused with the expected curvature that the fits follow: where the data differ
        from the expectation, so do the two.

        Args:
            theta: shape (parameters,).
            sample: where to evaluate.
        """
        program = self._program("hessian", sample.capacity)
        # known only when the program was made: TensorFlow sees no slope in what zfit evaluates
        if any(t.by_zfit and t.index for channel in self._channels for t in channel.terms):
            return self._differences(theta, sample)
        request = np.concatenate([theta, sample.observations, sample.setting.fixed])
        found: FloatArray = program(tf.constant(request), *sample.padded).numpy()
        return found

    def _differences(self, theta: FloatArray, sample: Sample) -> FloatArray:
        """Second derivatives as differences of gradients, for shapes that zfit itself evaluates."""
        step = _STEP / np.sqrt(np.diag(self.evaluate(theta[None], sample)[2][0]))
        ends = theta + np.stack([np.diag(step), -np.diag(step)])
        ends = np.clip(ends, self.lower, self.upper)
        up, down = (self.evaluate(each, sample)[1] for each in ends)
        apart = np.diagonal(ends[0] - ends[1])
        bend = (up - down) / apart[:, None]
        hessian: FloatArray = 0.5 * (bend + bend.T)
        return hessian

    def densities(
        self,
        theta: FloatArray,
        points: Sequence[FloatArray],
        tangent: FloatArray | None = None,
        fixed: FloatArray | None = None,
    ) -> list[Expected]:
        """What every channel expects at points of its own.

        Args:
            theta: shape (parameters,).
            points: one array a channel, shape (points,).
            tangent: direction of the slopes, shape (parameters,); they are zero if not given.
            fixed: values of the fixed parameters; the present ones if not given.
        """
        p = len(self.parameters)
        capacity = self._bins() if self.binned else tuple(_rounded(len(x)) for x in points)
        shaped = [
            np.empty((len(x), 0)) if c.binned else x.reshape(len(x), -1)
            for c, x in zip(self._channels, points, strict=True)
        ]
        fixed = self.fixed_values() if fixed is None else fixed
        at = [theta, np.zeros(p) if tangent is None else tangent, fixed]
        program = self._program("expected", capacity)
        padded = tf.constant(self._padded(shaped, capacity))
        curves = program(tf.constant(np.concatenate(at)), padded)
        density, slope = curves.numpy()
        found, start = [], 0
        for n, x in zip(capacity, points, strict=True):
            here, end = slice(start, start + len(x)), start + n
            ends = float(density[end]), float(slope[end])
            found.append(Expected(density[here], slope[here], *ends))
            start = end + 1
        return found

    def fit(
        self,
        sample: Sample,
        start: FloatArray,
        free: NDArray[np.bool_],
        lower: FloatArray | None = None,
    ) -> Minimum:
        """Minimise a batch of fits; what Newton's steps do not bring down, Minuit tries.

        Args:
            sample: the data.
            start: starting values, shape (fits, parameters).
            free: which parameters each fit may move, shape (fits, parameters).
            lower: lower limits of the parameters; their own if not given.
        """
        lower = self.lower if lower is None else lower
        minimum = self._fits(sample, start, free, MAX_ITERATIONS, lower)
        if (converged := minimum.converged).all():
            return minimum
        theta = minimum.theta.copy()
        for row in np.flatnonzero(~converged):
            origin = theta[row] if np.isfinite(minimum.value[row]) else start[row]
            theta[row] = self._minuit(sample, origin, free[row], lower)
        polished = self._fits(sample, theta, free, MAX_ITERATIONS, lower)
        with np.errstate(invalid="ignore"):
            no_higher = np.isfinite(polished.value) & ~(polished.value > minimum.value)
        return minimum.replaced(polished, ~converged & no_higher)

    def _minuit(
        self,
        sample: Sample,
        start: FloatArray,
        free: NDArray[np.bool_],
        lower: FloatArray,
    ) -> FloatArray:
        """Where Minuit's MIGRAD takes one fit."""

        def value(theta: FloatArray) -> float:
            found = self.evaluate(theta[None], sample)[0][0]
            return float(found) if np.isfinite(found) else 1e30

        minuit = Minuit(
            value, start, grad=lambda theta: np.nan_to_num(self.evaluate(theta[None], sample)[1][0])
        )
        minuit.errordef = Minuit.LIKELIHOOD
        upper = self.upper
        minuit.print_level = 0
        bend = np.einsum("pp->p", self.evaluate(start[None], sample)[2][0])
        for i in range(len(start)):
            if free[i]:
                minuit.limits[i] = (lower[i], upper[i])
            minuit.errors[i] = 1 / np.sqrt(bend[i]) if bend[i] > 0 else 1e-3 + 0.1 * abs(start[i])
            minuit.fixed[i] = not free[i]
        minuit.migrad(ncall=5000)
        return np.array(minuit.values)

    def hypothesis(
        self,
        sample: Sample,
        poi: Any,
        start: FloatArray,
        alpha: float,
        qtilde: bool,
        *,
        free_start: FloatArray | None = None,
        not_below: float = -np.inf,
        held: NDArray[np.bool_] | None = None,
        blind: bool = False,
    ) -> Hypothesis:
        """All that a limit on a parameter needs, in one call of one program.

        Args:
            sample: the data.
            poi: the parameter of interest.
            start: where the fit without signal starts, shape (parameters,).
            alpha: one minus the confidence level.
            qtilde: whether a negative signal counts as none.
            free_start: where the free fit starts; where the other one ends if not given.
            not_below: a lower limit of the parameter of interest for the free fit alone.
            held: parameters that stay where they start, shape (parameters,).
            blind: fit nothing to the data; the start is the background of the Asimov set.

        Raises:
            InputError: if a channel has more than one observable, or the parameter does not float.
        """
        index, p = self.index(poi), len(self.parameters)
        self._nodes()
        lower, upper, start = self.lower, self.upper, start.copy()
        lower[index] = max(lower[index], not_below)
        start[index] = 0.0
        if held is not None:
            lower[held] = upper[held] = start[held]
        setting = sample.setting
        request = [
            start,
            np.full(p, np.nan) if free_start is None else free_start,
            lower,
            upper,
            sample.observations,
            [alpha, qtilde, blind],
            asymptotics.expected_root(alpha),
            setting.events,
            setting.fixed,
            *setting.breakpoints,
        ]
        program = self._program("hypothesis", sample.capacity, index)
        out = program(tf.constant(np.concatenate(request)), *sample.padded).numpy()
        limits, numbers, rows = np.split(out, [len(asymptotics.BANDS) + 1, -2 * row_length(p)])
        sigma, error, missed, per_poi = numbers.tolist()
        fits = Minimum.from_rows(rows.reshape(2, -1), p)
        return Hypothesis(limits, sigma, error, missed, per_poi, fits)

    def fit_toys(
        self,
        toys: Sequence[Draw],
        start: FloatArray,
        poi: Any,
        at: FloatArray,
        others: FloatArray | None,
        fixed: FloatArray,
        not_below: float = -np.inf,
    ) -> FloatArray:
        """Fit pseudo-experiments freely and at values of a parameter, many in one call.

        Args:
            toys: the pseudo-experiments.
            start: where the first fit of each starts, shape (parameters,).
            poi: the parameter of interest.
            at: its values that the other fits are made at, at most ``TESTS``.
            others: parameters where the likelihood is wanted without a fit, one row for each value,
                shape (values, parameters); None if it is wanted nowhere.
            fixed: values of the fixed parameters.
            not_below: a lower limit of the parameter of interest for the free fit.

        Returns:
            Best fit of the parameter, negative log-likelihood, estimated distance to the minimum,
            of the free fit and of the one at each value, and the negative log-likelihood at the
            start and at each row of ``others`` (NaN without), shape (toys, 1 + values, 4).
        """
        index = self.index(poi)
        capacity = self._capacity(
            [max(len(t.points[c]) for t in toys) for c in range(len(self._channels))]
        )
        program, lower = self._program("toys", capacity, index), self.lower
        lower[index] = max(lower[index], not_below)
        tests = np.append(at, np.zeros(TESTS - len(at)))
        looks = np.zeros((TESTS, len(start)))
        if others is not None:
            looks[: len(at)] = others
        found = []
        for first in range(0, len(toys), TOYS):
            block = toys[first : first + TOYS]
            head: list[Any] = [
                [len(block), 1 + len(at), others is not None],
                start,
                lower,
                self.upper,
                tests,
                looks.ravel(),
                fixed,
            ]
            shapes = [len(start), self._numbers_of(capacity), sum(capacity)]
            observations, points, weights = (np.zeros((TOYS, n)) for n in shapes)
            for row, toy in enumerate(block):
                observations[row] = toy.observations
                points[row] = self._padded(toy.points, capacity)
                weights[row] = self._padded_weights(toy.weights, capacity)
            filled = [each.ravel() for each in (observations, points, weights)]
            out = program(tf.constant(np.concatenate(head)), *map(tf.constant, filled))
            found.append(out.numpy()[: len(block), : 1 + len(at)])
        return np.concatenate(found)

    # ------------------------------------------------------------------ programs

    def _capacity(self, events: Sequence[int]) -> tuple[int, ...]:
        """Number of points that the channels of a sample are padded to.

        It grows with the largest sample so far, whose programs serve all smaller ones.
        """
        if self.binned:
            return self._bins()
        self._roomy = tuple(map(max, self._roomy, map(_rounded, events)))
        return self._roomy

    def _numbers_of(self, capacity: tuple[int, ...]) -> int:
        """How many numbers the points of a sample are."""
        return sum(n * c.dimensions for n, c in zip(capacity, self._channels, strict=True))

    def _bins(self) -> tuple[int, ...]:
        return tuple(int(np.size(data.values())) for data in self.loss.data)

    def _nodes(self) -> tuple[int, ...]:
        """Number of points of each channel's Asimov set.

        Raises:
            InputError: if a channel has more than one observable.
        """
        for channel in self._channels:
            if channel.dimensions > 1:
                raise InputError(
                    f"{channel.model.name}: no Asimov set for {channel.dimensions} observables; "
                    "bin the channel"
                )
        if self.binned:
            return self._bins()
        return (nodes_of(self._setting_sizes[1]),) * len(self._channels)

    def _fits(
        self,
        sample: Sample,
        start: FloatArray,
        free: NDArray[np.bool_],
        max_iterations: int,
        lower: FloatArray | None = None,
    ) -> Minimum:
        """A batch of fits as the compiled program makes them."""
        lower = self.lower if lower is None else lower
        program, p = self._program("fit", sample.capacity), len(self.parameters)
        parts = []
        for first in range(0, len(start), ROWS):
            rows = slice(first, first + ROWS)
            count = len(start[rows])
            block = np.zeros((ROWS, 2, p))
            block[:count, 0], block[:count, 1] = start[rows], free[rows]
            head = [[count, max_iterations], lower, self.upper, sample.observations]
            request = tf.constant(np.concatenate([*head, block.ravel(), sample.setting.fixed]))
            parts.append(program(request, *sample.padded).numpy()[:count])
        return Minimum.from_rows(np.concatenate(parts), p)

    def _program(self, name: str, capacity: tuple[int, ...], *details: int) -> Callable[..., Any]:
        """The compiled program of a name for these shapes, made when it is first asked for."""
        key = (name, capacity, *details)
        if key not in self._programs:
            self._programs[key] = self._compile(name, capacity, *details)
        return self._programs[key]

    def _compile(self, name: str, capacity: tuple[int, ...], *details: int) -> Callable[..., Any]:
        """A program, compiled by XLA; what cannot be compiled is left to TensorFlow and zfit.

        Raises:
            InputError: if it cannot be run at all.
        """
        try:
            return self._built(name, capacity, *details)
        except Exception as error:  # whatever a PDF raises while it is traced or compiled
            if not self._by_xla:
                raise self._hopeless(error) from error
            first = error
        self._by_xla = False
        self._all.scale_nothing()
        constants = self._all.constants
        terms = [term for channel in self._channels for term in channel.terms]
        obstacles = {term.pdf: why for term in terms if (why := term.obstacle(constants))}
        try:
            program = self._built(name, capacity, *details)
        except Exception as error:
            raise self._hopeless(error) from error
        named = [f"{pdf.name} ({type(pdf).__name__}): {why}" for pdf, why in obstacles.items()]
        warnings.warn(
            "the loss cannot be compiled and everything takes much longer, because of "
            + ("; ".join(named) or str(first).splitlines()[0]),
            stacklevel=2,
        )
        return program

    def _hopeless(self, error: Exception) -> InputError:
        models = ", ".join(sorted({type(c.model).__name__ for c in self._channels}))
        return InputError(
            f"the loss cannot be evaluated (models: {models}): {str(error).splitlines()[0]}"
        )

    def _built(self, name: str, capacity: tuple[int, ...], *details: int) -> Callable[..., Any]:
        """A program, traced, compiled if that is possible, and tried."""
        p, fixed = len(self.parameters), len(self._all.fixed)
        of_points = self._numbers_of(capacity)
        events, edges = self._setting_sizes
        setting = fixed + events + edges * len(self._channels)
        builders: dict[str, tuple[Callable[..., Any], list[int]]] = {
            "expected": (self._expected_program, [2 * p + fixed, of_points]),
            "asimov": (self._asimov_program, [p + setting]),
            "hessian": (self._hessian_program, [2 * p + fixed, of_points, sum(capacity)]),
            "fit": (
                self._fit_program,
                [2 + p * (3 + 2 * ROWS) + fixed, of_points, sum(capacity)],
            ),
            "toys": (
                self._toys_program,
                [
                    3 + (3 + TESTS) * p + TESTS + fixed,
                    TOYS * p,
                    TOYS * of_points,
                    TOYS * sum(capacity),
                ],
            ),
            "hypothesis": (
                self._hypothesis_program,
                [5 * p + 8 + setting, of_points, sum(capacity)],
            ),
        }
        build, sizes = builders[name]
        return programs.program(
            lambda *arguments: build(capacity, *details, *arguments), sizes, self._by_xla
        )

    def _expected_program(
        self, capacity: tuple[int, ...], at: tf.Tensor, points: tf.Tensor
    ) -> tf.Tensor:
        """Parameters, direction and fixed parameters; points: to densities and slopes."""
        p = len(self.parameters)
        theta, tangent, constants = at[:p], at[p : 2 * p], self._all.derive(at[2 * p :])
        densities, slopes = [], []
        for channel, here in zip(self._channels, self._points(capacity, points), strict=True):
            found = channel.density(theta, constants, here, channel.known(constants, here))
            along = tf.linalg.matvec(found.lever, tangent)
            densities += [found.at_points, found.events[None]]
            slopes += [
                tf.linalg.matvec(found.basis, along, transpose_a=True),
                tf.reduce_sum(found.integral * along)[None],
            ]
        return tf.stack([tf.concat(densities, 0), tf.concat(slopes, 0)])

    def _fit_program(
        self, capacity: tuple[int, ...], request: tf.Tensor, points: tf.Tensor, weights: tf.Tensor
    ) -> tf.Tensor:
        """Starting points, limits and fixed parameters; points; weights: to a row for each fit."""
        p = len(self.parameters)
        head, lower, upper, observations, block, fixed = tf.split(
            request, [2, p, p, p, 2 * p * ROWS, len(self._all.fixed)]
        )
        count, max_iterations = tf.cast(head[0], tf.int32), head[1]
        rows = tf.reshape(block, (ROWS, 2, p))
        constants, here = self._all.derive(fixed), self._points(capacity, points)
        known = [c.known(constants, x) for c, x in zip(self._channels, here, strict=True)]

        def objective(theta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return self._likelihood(theta, constants, here, known, weights, observations)

        def fit(i: tf.Tensor, out: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            start, free = tf.unstack(rows[i])
            found = minimise(objective, start, free > 0.5, lower, upper, max_iterations)
            return i + 1, tf.tensor_scatter_nd_update(out, [[i]], as_row(found)[None])

        nothing = tf.zeros((ROWS, row_length(p)), tf.float64)
        return tf.while_loop(lambda i, _: i < count, fit, (tf.constant(0), nothing))[1]

    def _toys_program(
        self,
        capacity: tuple[int, ...],
        index: int,
        request: tf.Tensor,
        observations: tf.Tensor,
        points: tf.Tensor,
        weights: tf.Tensor,
    ) -> tf.Tensor:
        """Numbers, start, limits, tests and fixed parameters; toys: to a row for each fit."""
        p = len(self.parameters)
        head, start, lower, upper, tests, others, fixed = tf.split(
            request, [3, p, p, p, TESTS, TESTS * p, len(self._all.fixed)]
        )
        count, fits, look = tf.unstack(tf.cast(head, tf.int32))
        constants, is_poi = self._all.derive(fixed), np.arange(p) == index
        each = [tf.reshape(part, (TOYS, -1)) for part in (observations, points, weights)]
        still = tf.constant(is_poi, tf.float64)
        looks = tf.concat([start[None], tf.reshape(others, (TESTS, p))], 0)

        def toy(i: tf.Tensor, out: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            observed, here, weight = each[0][i], self._points(capacity, each[1][i]), each[2][i]
            known = [c.known(constants, x) for c, x in zip(self._channels, here, strict=True)]

            def objective(theta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                return self._likelihood(theta, constants, here, known, weight, observed)

            def fit(
                j: tf.Tensor, near: tf.Tensor, follow: tf.Tensor, out: tf.Tensor
            ) -> tuple[tf.Tensor, ...]:
                x = tf.where(j == 0, near[index], tests[tf.maximum(j - 1, 0)])
                begin = inside(near + follow * (x - near[index]), near, lower, upper)
                begin = tf.where(is_poi, x, begin)
                theta, value, edm, _, _, curvature = minimise(
                    objective, begin, ~is_poi | (j == 0), lower, upper
                )
                seen = tf.cond(
                    look > 0,
                    lambda: objective(looks[j])[0],
                    lambda: tf.constant(np.nan, tf.float64),
                )
                row = tf.stack([theta[index], value, edm, seen])
                follow = response(theta, curvature, index, lower, upper)
                out = tf.tensor_scatter_nd_update(out, tf.stack([[i, j]]), row[None])
                return j + 1, theta, follow, out

            first = (tf.constant(0), start, still, out)
            return i + 1, tf.while_loop(lambda j, *_: j < fits, fit, first)[-1]

        nothing = tf.zeros((TOYS, 1 + TESTS, 4), tf.float64)
        return tf.while_loop(lambda i, _: i < count, toy, (tf.constant(0), nothing))[1]

    def _hessian_program(
        self, capacity: tuple[int, ...], request: tf.Tensor, points: tf.Tensor, weights: tf.Tensor
    ) -> tf.Tensor:
        """Parameters and fixed parameters; points; weights: to the second derivatives."""
        p = len(self.parameters)
        theta, observations = request[:p], request[p : 2 * p]
        constants = self._all.derive(request[2 * p :])
        total = tf.zeros((p, p), tf.float64)
        for channel, x, weight in zip(
            self._channels,
            self._points(capacity, points),
            tf.split(weights, capacity),
            strict=True,
        ):
            into, known = self._all.spread(channel.index), channel.known(constants, x)
            bend = _bend(
                channel, tf.gather(theta, channel.index), into, constants, x, weight, known
            )
            total += tf.matmul(into, tf.matmul(bend, into), transpose_a=True)
        return total + self.constraints(theta, constants, observations)[2]

    def _asimov_program(
        self, capacity: tuple[int, ...], index: int, request: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Parameters and setting: to facts about the Asimov set, its points and its weights."""
        del capacity
        p = len(self.parameters)
        nodes, _, weights, *_, facts = self._expectation(
            request[:p], index, *self._placed(request[p:])
        )
        return facts, tf.concat([tf.reshape(x, [-1]) for x in nodes], 0), weights

    def _hypothesis_program(
        self,
        capacity: tuple[int, ...],
        index: int,
        request: tf.Tensor,
        points: tf.Tensor,
        weights: tf.Tensor,
    ) -> tf.Tensor:
        """What is asked; points; weights: to limits, facts and the two fits of the data."""
        p = len(self.parameters)
        start, free_start, lower, upper, observations, flags, roots, setting = tf.split(
            request, [p, p, p, p, p, 3, len(asymptotics.BANDS), -1]
        )
        events, constants, breakpoints = self._placed(setting)
        here, nodes = self._points(capacity, points), self._nodes()
        known = [c.known(constants, x) for c, x in zip(self._channels, here, strict=True)]
        found = asymptotics.answer(
            asymptotics.Question(
                observed=lambda theta: self._likelihood(
                    theta, constants, here, known, weights, observations
                ),
                expectation=lambda theta: self._expectation(
                    theta, index, events, constants, breakpoints
                ),
                asimov=lambda made: lambda theta: self._likelihood(theta, constants, *made),
                nothing=(
                    [
                        tf.zeros((n, c.dimensions), tf.float64)
                        for n, c in zip(nodes, self._channels, strict=True)
                    ],
                    self._no_shapes(nodes),
                    tf.zeros(sum(nodes), tf.float64),
                    tf.zeros(p, tf.float64),
                    tf.zeros(2, tf.float64),
                ),
                poi=index,
                start=start,
                free_start=free_start,
                lower=lower,
                upper=upper,
                alpha=flags[0],
                roots=roots,
                qtilde=flags[1] > 0,
                blind=flags[2] > 0,
            )
        )
        numbers = tf.stack([found.sigma, found.error])
        return tf.concat(
            [found.limits, numbers, found.asimov_set[-1], tf.reshape(found.fits, [-1])], 0
        )

    def _expectation(
        self,
        theta: tf.Tensor,
        index: int,
        events: tf.Tensor,
        constants: tf.Tensor,
        breakpoints: tf.Tensor,
    ) -> tuple[list[tf.Tensor], list[list[tf.Tensor]], tf.Tensor, tf.Tensor, tf.Tensor]:
        """The Asimov set of parameters, inside a graph.

        Returns:
            points of each channel, shape (n, dimensions); shapes that no fit changes there; weights
            of all points, one channel after the other; what the constraints observe, which is the
            parameters themselves; the largest relative difference between sums and integrals, and
            the signal events per unit of the parameter of interest.
        """
        zero = tf.constant(0.0, tf.float64)
        sizes = self._nodes()
        if self.binned:
            points = [tf.zeros((n, 0), tf.float64) for n in sizes]
            widths = [tf.ones(n, tf.float64) for n in sizes]
            known = [c.known(constants, x) for c, x in zip(self._channels, points, strict=True)]
        else:

            def look(nodes: tf.Tensor) -> tuple[list[list[tf.Tensor]], tf.Tensor]:
                known, signal = [], []
                for channel, x in zip(self._channels, tf.unstack(nodes), strict=True):
                    known.append(channel.known(constants, x[:, None]))
                    slope, _ = channel.slope(theta, constants, x[:, None], known[-1], index)
                    signal.append(slope)
                return known, tf.stack(signal)

            nodes, steps, known = quadrature(breakpoints, look, self._no_shapes(sizes))
            points, widths = [x[:, None] for x in tf.unstack(nodes)], tf.unstack(steps)
        weights, missed, signal_per_poi = [], [zero], zero
        for i, (channel, x, shapes, width) in enumerate(
            zip(self._channels, points, known, widths, strict=True)
        ):
            density, total = channel.expected(theta, constants, x, shapes)
            slope, signal_events = channel.slope(theta, constants, x, shapes, index)
            weight = density * width
            if not channel.extended:
                total, signal_events = zero + 1.0, zero
            signal_per_poi += signal_events
            scale = tf.where(signal_events == 0.0, total, tf.abs(signal_events))
            of_total = tf.abs(tf.reduce_sum(weight) - total)
            of_signal = tf.abs(tf.reduce_sum(slope * width) - signal_events)
            missed.append(tf.math.divide_no_nan(of_total, total))
            missed.append(tf.math.divide_no_nan(of_signal, scale))
            weights.append(weight if channel.extended else weight * events[i])
        facts = tf.stack([tf.reduce_max(tf.stack(missed)), signal_per_poi])
        return points, known, tf.concat(weights, 0), theta, facts

    def _no_shapes(self, sizes: Sequence[int]) -> list[list[tf.Tensor]]:
        """Zeros in the place of all shapes that no fit changes."""
        return [
            [tf.zeros(n, tf.float64)] * c.constant
            for n, c in zip(sizes, self._channels, strict=True)
        ]

    def _placed(self, setting: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Events of each channel; constants; breakpoints of each channel, a row each."""
        events, edges = self._setting_sizes
        found = tf.split(setting, [events, len(self._all.fixed), edges * len(self._channels)])
        return found[0], self._all.derive(found[1]), tf.reshape(found[2], (-1, edges))

    def _likelihood(
        self,
        theta: tf.Tensor,
        constants: tf.Tensor,
        points: Sequence[tf.Tensor],
        known: Sequence[Sequence[tf.Tensor]],
        weights: tf.Tensor,
        observations: tf.Tensor,
        *_: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Negative log-likelihood, gradient and expected curvature, inside a graph.

        Args:
            theta: the floating parameters.
            constants: the fixed and the derived ones.
            points: of each channel, shape (n, dimensions).
            known: shapes that no fit changes at the points of each channel.
            weights: of all points, one channel after the other.
            observations: of Gaussian constraints, shape (parameters,).
        """
        p = len(self.parameters)
        each = tf.split(weights, [x.shape[0] for x in points])
        value = tf.constant(0.0, tf.float64)
        gradient, curvature = tf.zeros_like(theta), tf.zeros((p, p), tf.float64)
        for channel, here, shapes, weight in zip(self._channels, points, known, each, strict=True):
            found = channel.density(theta, constants, here, shapes)
            present = weight != 0.0
            density = tf.where(present, found.at_points, 1.0)
            value += found.events - tf.reduce_sum(weight * tf.math.log(density))
            ratio = tf.where(present, weight / density, 0.0)
            pull = found.integral - tf.linalg.matvec(found.basis, ratio)
            bend = _gram(found.basis, tf.where(present, ratio / density, 0.0))
            gradient += tf.linalg.matvec(found.lever, pull, transpose_a=True)
            curvature += tf.matmul(found.lever, tf.matmul(bend, found.lever), transpose_a=True)
        if self.loss.constraints:
            extra = self.constraints(theta, constants, observations)
            return value + extra[0], gradient + extra[1], curvature + extra[2]
        return value, gradient, curvature

    def _points(self, capacity: tuple[int, ...], points: tf.Tensor) -> list[tf.Tensor]:
        """Points of each channel, shape (n, dimensions)."""
        sizes = [n * c.dimensions for n, c in zip(capacity, self._channels, strict=True)]
        return [
            tf.transpose(tf.reshape(block, (c.dimensions, n)))
            for block, c, n in zip(tf.split(points, sizes), self._channels, capacity, strict=True)
        ]


def _bend(
    channel: Channel,
    local: tf.Tensor,
    into: tf.Tensor,
    constants: tf.Tensor,
    points: tf.Tensor,
    weights: tf.Tensor,
    known: Sequence[tf.Tensor],
) -> tf.Tensor:
    """Second derivatives of the likelihood of a channel by its own parameters, inside a graph.

    Row after row in a loop: the program holds the derivatives of the slope along one direction.
    """

    def row(direction: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(local)
            theta = tf.linalg.matvec(into, local, transpose_a=True)
            found = channel.density(theta, constants, points, known)
            present = weights != 0.0
            density = tf.where(present, found.at_points, 1.0)
            ratio = tf.where(present, weights / density, 0.0)
            pull = found.integral - tf.linalg.matvec(found.basis, ratio)
            slopes = tf.linalg.matvec(found.lever, pull, transpose_a=True)
            along = tf.reduce_sum(tf.linalg.matvec(into, slopes) * direction)
        return tape.gradient(along, local, unconnected_gradients="zero")

    return tf.map_fn(row, tf.eye(local.shape[0], dtype=tf.float64))


def _gram(basis: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted products of all pairs of rows; a product of matrices so flat is slow in XLA."""
    return tf.stack([tf.linalg.matvec(basis, weights * row) for row in tf.unstack(basis)])


def _rounded(events: int) -> int:
    """The next power of two or of two times three quarters, and never a tiny one."""
    power = 1 << max(events, _FEWEST).bit_length()
    for capacity in (power // 2, 3 * power // 4):
        if events <= capacity:
            return capacity
    return power


def compiled(loss: Any) -> CompiledLoss:
    """The compiled form of a loss, made once and kept with the loss.

    It is made anew if parameters were fixed or released meanwhile.
    """
    known: CompiledLoss | None = vars(loss).get("_zfit_dark_compiled")
    if known is None or known.outdated():
        known = CompiledLoss(loss)
        loss._zfit_dark_compiled = known
    return known

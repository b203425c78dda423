"""A zfit loss as one compiled function of its parameters and its data.

While the loss is traced, every zfit parameter answers with an element of an input vector instead of
its own value. What comes out is a pure function of (floating parameters, fixed parameters, points,
weights) that XLA compiles once: the same program serves the data, the Asimov set and every mass,
and no zfit parameter is touched by a fit.

With d(x) the expected density of a channel (yield times PDF; for a binned loss, the expected
counts) and w the weights of its points, every supported loss is

    NLL = sum over channels [ expected events - sum_i w_i log d(x_i) ] + constraints,

where the expected events drop out if the loss is not extended. Its expected curvature is
sum_i w_i (grad log d)(grad log d)^T plus that of the constraints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import zfit
from iminuit import Minuit
from numpy.typing import NDArray

from zfit_dark.asimov import quadrature
from zfit_dark.errors import InputError
from zfit_dark.newton import FloatArray, Minimum, Objective, minimise

UNBINNED = (zfit.loss.UnbinnedNLL, zfit.loss.ExtendedUnbinnedNLL)
BINNED = (zfit.loss.BinnedNLL, zfit.loss.ExtendedBinnedNLL)

BATCH = {"small": 6, "large": 2}
"""Fits that share one call, for small samples (Asimov sets, most windows) and for large ones."""

_SMALL = 2048
_SMALLEST_CAPACITY = 512
_SHAPES_OF_PARAMETER = ("value", "read_value", "_dense_var_to_tensor")


@dataclass(frozen=True)
class Sample:
    """What the likelihood is evaluated on: points, weights, values of the fixed parameters.

    Attributes:
        points: one array a channel, shape (points, observables); shape (bins, 0) for a binned
            channel.
        weights: one array a channel, shape (points,).
        fixed: values of the fixed parameters.
        size: "small" or "large"; samples of a size share their programs.
        capacity: number of points that each channel is padded to.
        table: what the compiled programs read (points, weights and densities that no fit changes).
    """

    points: tuple[FloatArray, ...]
    weights: tuple[FloatArray, ...]
    fixed: FloatArray
    size: str
    capacity: tuple[int, ...]
    table: tf.Tensor


@contextmanager
def _answering(parameters: Sequence[Any], values: Sequence[tf.Tensor]) -> Iterator[None]:
    """Let zfit parameters answer with tensors of the graph that is being traced."""
    for parameter, value in zip(parameters, values, strict=True):
        # the parameter's own class keeps its methods; these stand in front of them
        vars(parameter).update(
            {
                "value": lambda value=value: value,
                "read_value": lambda value=value: value,
                "_dense_var_to_tensor": lambda *_, value=value, **__: value,
            }
        )
    try:
        yield
    finally:
        for parameter in parameters:
            for name in _SHAPES_OF_PARAMETER:
                vars(parameter).pop(name, None)


class _Channel:
    """One model of the loss with the parameters that it depends on."""

    def __init__(self, model: Any, floating: list[Any], extended: bool, binned: bool) -> None:
        self.model = model
        self.extended = extended
        self.binned = binned
        depends = set(model.get_params(floating=True))
        self.index = [i for i, parameter in enumerate(floating) if parameter in depends]
        self.dimensions = 0 if binned else model.n_obs
        terms = [model]
        if extended and not binned and getattr(model, "_automatically_extended", False):
            terms = list(model.pdfs)
        self.fixed_terms = [p for p in terms if extended and not binned and _has_fixed_shape(p)]
        self.moving_terms = [p for p in terms if p not in self.fixed_terms]

    def fixed_densities(self, points: tf.Tensor) -> list[tf.Tensor]:
        """Normalised densities of the terms whose shape no fit changes, each of shape (points,)."""
        return [pdf.pdf(self._data(points)) for pdf in self.fixed_terms]

    def density(
        self, points: tf.Tensor, fixed_densities: list[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Expected density at the points, and the expected number of events."""
        if self.binned:
            model = self.model
            counts = tf.reshape(model.counts() if self.extended else model.rel_counts(), [-1])
            return counts, tf.reduce_sum(counts) if self.extended else _zero()
        data = self._data(points)
        if not self.extended:
            return self.model.pdf(data), _zero()
        density, events = tf.zeros_like(points[:, 0]), _zero()
        terms = [(pdf, shape) for pdf, shape in zip(self.fixed_terms, fixed_densities, strict=True)]
        terms += [(pdf, pdf.pdf(data)) for pdf in self.moving_terms]
        for pdf, shape in terms:
            pdf_yield = tf.convert_to_tensor(pdf.get_yield().value(), tf.float64)
            density += pdf_yield * shape
            events += pdf_yield
        return density, events

    def breakpoints(self, value: Callable[[Any], float]) -> FloatArray:
        """Where the density may jump: the edges of the observable and of every hole.

        Args:
            value: tells the value of an edge that is a parameter.
        """
        low, high = (float(np.ravel(edge)[0]) for edge in self.model.space.v1.limits)
        edges = (e if isinstance(e, float) else value(e) for e in _hole_edges(self.model))
        return np.unique(np.array([low, high, *(edge for edge in edges if low < edge < high)]))

    def _data(self, points: tf.Tensor) -> Any:
        return zfit.Data.from_tensor(self.model.space, points, guarantee_limits=True)


def _zero() -> tf.Tensor:
    return tf.constant(0.0, tf.float64)


def _has_fixed_shape(pdf: Any) -> bool:
    return not pdf.get_params(floating=True, is_yield=False)


def _derived(loss: Any) -> list[Any]:
    """Composed parameters of the loss that no floating parameter moves, the outermost ones."""
    found: list[Any] = []
    waiting = [p for model in loss.model for p in _own_parameters(model)]
    while waiting:
        parameter = waiting.pop()
        if parameter.independent or parameter in found:
            continue
        if parameter.get_params(floating=True):
            waiting += parameter.params.values()
        elif parameter.get_params(floating=False):
            found.append(parameter)
    return sorted(found, key=lambda parameter: parameter.name)


def _own_parameters(pdf: Any) -> Iterator[Any]:
    """Parameters, composed ones among them, of a PDF and of all that it is made of."""
    yield from pdf.params.values()
    if pdf.is_extended:
        yield pdf.get_yield()
    for daughter in getattr(pdf, "pdfs", ()):
        yield from _own_parameters(daughter)


def _hole_edges(pdf: Any) -> Iterator[Any]:
    """Edges, numbers or parameters, of the holes of a PDF and of all that it is made of."""
    for interval in getattr(pdf, "intervals", ()):
        yield from interval
    if isinstance(pdf, zfit.pdf.TruncatedPDF):
        for limit in pdf.limits:
            yield from (float(np.ravel(edge)[0]) for edge in limit.v1.limits)
    for daughter in getattr(pdf, "pdfs", ()):
        yield from _hole_edges(daughter)


class CompiledLoss:
    """The likelihood of a zfit loss, compiled; see the module's text.

    Args:
        loss: a zfit ``UnbinnedNLL``, ``ExtendedUnbinnedNLL``, ``BinnedNLL`` or
            ``ExtendedBinnedNLL``.

    Attributes:
        parameters: the floating parameters, in the order of ``theta`` everywhere.
        lower, upper: their limits, shape (parameters,).

    Raises:
        InputError: if the loss is of another kind, or has nothing to fit.
    """

    def __init__(self, loss: Any) -> None:
        if type(loss) not in (*UNBINNED, *BINNED):
            raise InputError(
                f"a {type(loss).__name__} cannot be used for a limit: "
                "give a (extended) unbinned or binned NLL of zfit"
            )
        if any(fit_range is not None for fit_range in loss.fit_range or ()):
            raise InputError(
                "the loss has a fit_range: restrict the spaces of PDF and data instead"
            )
        self.loss = loss
        self.parameters: list[Any] = sorted(loss.get_params(floating=True), key=lambda p: p.name)
        if not self.parameters:
            raise InputError("the loss has no floating parameter")
        self._fixed_parameters: list[Any] = sorted(
            set(loss.get_params(floating=False)) - set(self.parameters), key=lambda p: p.name
        )
        self._derived_parameters = _derived(loss)
        self.lower = np.array([_limit(p.lower, -np.inf) for p in self.parameters])
        self.upper = np.array([_limit(p.upper, np.inf) for p in self.parameters])
        extended, binned = bool(loss.is_extended), type(loss) in BINNED
        self._channels = [_Channel(m, self.parameters, extended, binned) for m in loss.model]
        self._capacity: dict[str, tuple[int, ...]] = {}
        self._programs: dict[tuple[Any, ...], Callable[..., tf.Tensor]] = {}

    # ------------------------------------------------------------------ samples

    def outdated(self) -> bool:
        """Whether parameters were fixed or released since."""
        return not all(p.floating for p in self.parameters) or any(
            p.floating for p in self._fixed_parameters
        )

    def values(self) -> FloatArray:
        """Present values of the floating parameters, shape (parameters,)."""
        return np.array([float(parameter.value()) for parameter in self.parameters])

    def fixed_values(self) -> FloatArray:
        """Present values of the fixed parameters."""
        return np.array([float(parameter.value()) for parameter in self._fixed_parameters])

    def _with_derived(self, fixed: FloatArray) -> FloatArray:
        """Values of the fixed parameters and of all that follows from them alone."""
        if not self._derived_parameters:
            return fixed
        program = self._program("derived", (0,) * len(self._channels), 0, self._derived_program)
        return np.concatenate([fixed, program(tf.constant(fixed)).numpy()])

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

    def reserve(self, events: Sequence[int]) -> None:
        """Make room for this many events a channel, so that a scan never needs a second program."""
        self._make_room(_size(events), [_rounded(n) for n in events])

    def sample(self, points: Sequence[FloatArray], weights: Sequence[FloatArray]) -> Sample:
        """Points and weights made ready for the programs.

        Args:
            points: one array a channel, shape (points, observables).
            weights: one array a channel, shape (points,).
        """
        needed = [len(weight) for weight in weights]
        if any(channel.binned for channel in self._channels):
            size, capacity = "small", tuple(needed)
        else:
            size = _size(needed)
            capacity = self._make_room(size, [_rounded(n) for n in needed])
        fixed = self._with_derived(self.fixed_values())
        blocks = []
        for channel, n, x, w in zip(self._channels, capacity, points, weights, strict=True):
            padded = np.empty((n, channel.dimensions))
            padded[: len(x)] = x
            padded[len(x) :] = x[0] if len(x) else _middle(channel)
            blocks.append((padded, np.concatenate([w, np.zeros(n - len(w))])))
        bare = np.concatenate([np.concatenate([x.T.ravel(), w]) for x, w in blocks])
        if any(channel.fixed_terms for channel in self._channels):
            program = self._program("fixed", capacity, 0, self._fixed_program)
            table = program(tf.constant(fixed), tf.constant(bare))
        else:
            table = tf.constant(bare)
        return Sample(tuple(points), tuple(weights), fixed, size, capacity, table)

    def _make_room(self, size: str, events: list[int]) -> tuple[int, ...]:
        """Capacity of the samples of a size, grown if it must be."""
        known = self._capacity.get(size, (0,) * len(events))
        self._capacity[size] = tuple(map(max, known, events))
        return self._capacity[size]

    def asimov(self, theta: FloatArray, poi: Any) -> tuple[Sample, float, float]:
        """The Asimov set of these parameters: the expectation itself taken as data.

        Unbinned channels get quadrature nodes that follow the signal, that is the part of the
        density that moves with the parameter of interest, and stop at the edges of holes.

        Args:
            theta: shape (parameters,).
            poi: the parameter of interest.

        Returns:
            The sample; the largest relative difference, over the channels, between the events or
            the signal events that the nodes add up to and those that the model's integral gives;
            the signal events in all channels per unit of the parameter of interest (0 if not
            extended).

        Raises:
            InputError: if a channel has more than one observable.
        """
        for channel in self._channels:
            if channel.dimensions > 1:
                raise InputError(
                    f"{channel.model.name}: no Asimov set for {channel.dimensions} observables; "
                    "bin the channel"
                )
        tangent = np.zeros(len(self.parameters))
        tangent[self.index(poi)] = 1.0

        def signal(grids: list[FloatArray]) -> list[FloatArray]:
            found = iter(self.density(theta, tangent, self._at_points(grids)))
            return [slope for _, slope, *_ in found]

        if any(channel.binned for channel in self._channels):
            sizes = [np.size(d.values()) for d in self.loss.data]
            nodes, widths = [np.empty(n) for n in sizes], [np.ones(n) for n in sizes]
        else:
            values = dict(
                zip(
                    self._fixed_parameters + self._derived_parameters,
                    self._with_derived(self.fixed_values()),
                    strict=True,
                )
            )

            def value(edge: Any) -> float:
                return float(values[edge] if edge in values else edge.value())

            nodes, widths = quadrature([c.breakpoints(value) for c in self._channels], signal)
        weights, worst, signal_per_poi = [], 0.0, 0.0
        densities = self.density(theta, tangent, self._at_points(nodes))
        for channel, width, data, (density, slope, events, signal_events) in zip(
            self._channels, widths, self.loss.data, densities, strict=True
        ):
            if not channel.extended:
                events, signal_events = 1.0, 0.0
            signal_per_poi += signal_events
            scale = abs(signal_events) or events
            missed = abs(float(density @ width) - events)
            missed_signal = abs(float(slope @ width) - signal_events)
            worst = max(worst, missed / events if events else 0.0)
            worst = max(worst, missed_signal / scale if scale else 0.0)
            weight = density * width
            weights.append(weight if channel.extended else weight * float(data.samplesize))
        points = [
            np.empty((len(x), 0)) if c.binned else x[:, None]
            for c, x in zip(self._channels, nodes, strict=True)
        ]
        return self.sample(points, weights), worst, signal_per_poi

    def _at_points(self, points: list[FloatArray]) -> Sample:
        shaped = [
            np.empty((len(x), 0)) if c.binned else x[:, None]
            for c, x in zip(self._channels, points, strict=True)
        ]
        return self.sample(shaped, [np.ones(len(x)) for x in points])

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
        parameters, batch = theta.shape[1], BATCH[sample.size]
        program = self._program("likelihood", sample.capacity, batch, self._likelihood_program)
        fixed = tf.constant(sample.fixed)
        parts = []
        for start in range(0, len(theta), batch):
            rows = theta[start : start + batch]
            rows = np.concatenate([rows, np.repeat(rows[:1], batch - len(rows), axis=0)])
            parts.append(program(tf.constant(rows), fixed, sample.table).numpy())
        out = np.concatenate(parts)[: len(theta)]
        bend = out[:, parameters + 1 :].reshape(-1, parameters, parameters)
        return out[:, 0], out[:, 1 : parameters + 1], bend

    def density(
        self, theta: FloatArray, tangent: FloatArray, sample: Sample
    ) -> list[tuple[FloatArray, FloatArray, float, float]]:
        """Expected density and its derivative along a direction of parameter space.

        Args:
            theta: shape (parameters,).
            tangent: the direction, shape (parameters,).
            sample: where to evaluate; its weights do not matter.

        Returns:
            For each channel: density and derivative at its points, shape (points,), expected events
                and
            their derivative.
        """
        program = self._program("density", sample.capacity, 1, self._density_program)
        out = program(
            tf.constant(np.stack([theta, tangent])), tf.constant(sample.fixed), sample.table
        ).numpy()
        results, start = [], 0
        for n, weights in zip(sample.capacity, sample.weights, strict=True):
            block = out[:, start : start + n + 1]
            k = len(weights)
            results.append((block[0, :k], block[1, :k], float(block[0, n]), float(block[1, n])))
            start += n + 1
        return results

    def densities(self, theta: FloatArray, points: list[FloatArray]) -> list[FloatArray]:
        """Expected density of every channel at points of its own, one array a channel."""
        found = self.density(theta, np.zeros(len(self.parameters)), self._at_points(points))
        return [density for density, *_ in found]

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
            lower: lower limits in the place of the parameters' own, shape (parameters,).
        """
        lower = self.lower if lower is None else lower

        def objective(theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
            return self.evaluate(theta, sample)

        minimum = minimise(objective, start, free, lower, self.upper)
        if minimum.converged.all():
            return minimum
        theta = minimum.theta.copy()
        for row in np.flatnonzero(~minimum.converged):
            origin = theta[row] if np.isfinite(minimum.value[row]) else start[row]
            theta[row] = self._minuit(objective, origin, free[row], lower)
        polished = minimise(objective, theta, free, lower, self.upper)
        return minimum.replaced(polished, ~minimum.converged & (polished.value <= minimum.value))

    def _minuit(
        self,
        objective: Objective,
        start: FloatArray,
        free: NDArray[np.bool_],
        lower: FloatArray,
    ) -> FloatArray:
        """Where Minuit's MIGRAD takes one fit."""

        def value(theta: FloatArray) -> float:
            found = objective(theta[None])[0][0]
            return float(found) if np.isfinite(found) else 1e30

        minuit = Minuit(
            value, start, grad=lambda theta: np.nan_to_num(objective(theta[None])[1][0])
        )
        minuit.errordef = Minuit.LIKELIHOOD
        minuit.print_level = 0
        bend = np.einsum("pp->p", objective(start[None])[2][0])
        for i in range(len(start)):
            if free[i]:
                minuit.limits[i] = (lower[i], self.upper[i])
            minuit.errors[i] = 1 / np.sqrt(bend[i]) if bend[i] > 0 else 1e-3 + 0.1 * abs(start[i])
            minuit.fixed[i] = not free[i]
        minuit.migrad(ncall=5000)
        return np.array(minuit.values)

    # ------------------------------------------------------------------ programs

    def _program(
        self,
        name: str,
        capacity: tuple[int, ...],
        batch: int,
        build: Callable[..., tf.Tensor],
    ) -> Callable[..., tf.Tensor]:
        """The compiled program of a name for these shapes, made when it is first asked for."""
        key = (name, capacity, batch)
        if key not in self._programs:
            self._programs[key] = self._compile(name, capacity, batch, build)
        return self._programs[key]

    def _compile(
        self, name: str, capacity: tuple[int, ...], batch: int, build: Callable[..., tf.Tensor]
    ) -> Callable[..., tf.Tensor]:
        bare = sum(n * (c.dimensions + 1) for n, c in zip(capacity, self._channels, strict=True))
        full = bare + sum(
            n * len(c.fixed_terms) for n, c in zip(capacity, self._channels, strict=True)
        )
        parameters, alone = len(self.parameters), len(self._fixed_parameters)
        fixed = alone + len(self._derived_parameters)
        arguments: dict[str, list[tuple[int, ...]]] = {
            "derived": [(alone,)],
            "fixed": [(fixed,), (bare,)],
            "density": [(2, parameters), (fixed,), (full,)],
            "likelihood": [(batch, parameters), (fixed,), (full,)],
        }
        shapes = arguments[name]
        signature = [tf.TensorSpec(shape, tf.float64) for shape in shapes]
        trial = [tf.zeros(shape, tf.float64) for shape in shapes]
        reason: Exception | None = None
        for each in (_vectorised, _looped) if name == "likelihood" else (None,):
            try:
                traced = tf.function(
                    lambda *args, each=each: build(capacity, each, *args), autograph=False
                ).get_concrete_function(*signature)
                compiled = tf.function(
                    _WITH_ARGUMENTS[len(signature)](traced), jit_compile=True, autograph=False
                ).get_concrete_function(*signature)
                compiled(*trial)
            except (tf.errors.OpError, ValueError, NotImplementedError) as error:
                reason = error
            else:
                return compiled  # type: ignore[no-any-return]
        models = ", ".join(sorted({type(c.model).__name__ for c in self._channels}))
        raise InputError(
            f"the loss could not be compiled (models: {models}): {str(reason).splitlines()[0]}"
        ) from reason

    def _split(
        self, capacity: tuple[int, ...], table: tf.Tensor
    ) -> Iterator[tuple[_Channel, tf.Tensor, tf.Tensor, list[tf.Tensor]]]:
        """Channel, points, weights and fixed densities out of the table."""
        start = 0
        for channel, n in zip(self._channels, capacity, strict=True):
            rows = channel.dimensions + 1 + len(channel.fixed_terms)
            block = tf.reshape(table[start : start + rows * n], (rows, n))
            start += rows * n
            points = tf.transpose(block[: channel.dimensions])
            rest = tf.unstack(block[channel.dimensions :])
            yield channel, points, rest[0], rest[1:]

    def _derived_program(self, capacity: tuple[int, ...], _: None, fixed: tf.Tensor) -> tf.Tensor:
        del capacity
        with _answering(self._fixed_parameters, tf.unstack(fixed)):
            return tf.stack(
                [tf.reshape(parameter.value(), []) for parameter in self._derived_parameters]
            )

    def _fixed_program(
        self, capacity: tuple[int, ...], _: None, fixed: tf.Tensor, bare: tf.Tensor
    ) -> tf.Tensor:
        blocks, start = [], 0
        with self._at([], [], fixed):
            for channel, n in zip(self._channels, capacity, strict=True):
                size = n * (channel.dimensions + 1)
                block = bare[start : start + size]
                start += size
                points = tf.transpose(
                    tf.reshape(block[: n * channel.dimensions], (channel.dimensions, n))
                )
                blocks += [block, *channel.fixed_densities(points)]
        return tf.concat(blocks, 0)

    def _density_program(
        self,
        capacity: tuple[int, ...],
        _: None,
        theta_and_tangent: tf.Tensor,
        fixed: tf.Tensor,
        table: tf.Tensor,
    ) -> tf.Tensor:
        theta, tangent = tf.unstack(theta_and_tangent)
        densities, slopes = [], []
        for channel, points, _weights, shapes in self._split(capacity, table):

            def density(
                at: tf.Tensor, of: _Channel = channel, here: Any = (points, shapes)
            ) -> tuple[tf.Tensor, tf.Tensor]:
                with self._at(self.parameters, theta + at[0] * tangent, fixed):
                    return of.density(*here)

            expected, events, slope, event_slope = _with_slopes(density, tf.zeros(1, tf.float64))
            densities += [expected, events[None]]
            slopes += [slope[0], event_slope]
        return tf.stack([tf.concat(densities, 0), tf.concat(slopes, 0)])

    def _likelihood_program(
        self,
        capacity: tuple[int, ...],
        each: Callable[..., Any],
        theta: tf.Tensor,
        fixed: tf.Tensor,
        table: tf.Tensor,
    ) -> tf.Tensor:
        size = len(self.parameters)
        channels = list(self._split(capacity, table))

        def likelihood(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            value, gradient = _zero(), tf.zeros(size, tf.float64)
            curvature = tf.zeros((size, size), tf.float64)
            for channel, points, weights, shapes in channels:
                spread = tf.constant(np.eye(size)[channel.index])
                present = weights != 0.0
                local = tf.linalg.matvec(spread, row)
                mine = [self.parameters[i] for i in channel.index]

                def density(
                    at: tf.Tensor,
                    of: _Channel = channel,
                    here: Any = (points, shapes),
                    p: Any = mine,
                ) -> tuple[tf.Tensor, tf.Tensor]:
                    with self._at(p, at, fixed):
                        return of.density(*here)

                expected, events, slopes, event_slopes = _with_slopes(density, local)
                safe = tf.where(present, expected, 1.0)
                value += events - tf.reduce_sum(weights * tf.math.log(safe))
                ratio = tf.where(present, slopes / safe, 0.0)
                slope = event_slopes - tf.linalg.matvec(ratio, weights)
                bend = tf.matmul(ratio * weights, ratio, transpose_b=True)
                gradient += tf.linalg.matvec(spread, slope, transpose_a=True)
                curvature += tf.matmul(spread, tf.matmul(bend, spread), transpose_a=True)
            return value, gradient, curvature

        value, gradient, curvature = each(likelihood, theta)
        if self.loss.constraints:
            extra = _looped(lambda row: self._constraints(row, fixed), theta)
            value, gradient, curvature = value + extra[0], gradient + extra[1], curvature + extra[2]
        rows = theta.shape[0]
        return tf.concat([value[:, None], gradient, tf.reshape(curvature, (rows, -1))], 1)

    def _constraints(
        self, theta: tf.Tensor, fixed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Value, gradient and exact curvature of the constraints."""
        depends = set().union(*(c.get_params(floating=True) for c in self.loss.constraints))
        index = [i for i, parameter in enumerate(self.parameters) if parameter in depends]
        spread = tf.constant(np.eye(len(self.parameters))[index])
        local = tf.gather(theta, index)
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(local)
            with tf.GradientTape() as inner:
                inner.watch(local)
                with self._at([self.parameters[i] for i in index], local, fixed):
                    value = tf.add_n([tf.reshape(c.value(), []) for c in self.loss.constraints])
            slopes = tf.unstack(inner.gradient(value, local, unconnected_gradients="zero"))
        bend = tf.stack(
            [outer.gradient(slope, local, unconnected_gradients="zero") for slope in slopes]
        )
        gradient = tf.linalg.matvec(spread, tf.stack(slopes), transpose_a=True)
        return value, gradient, tf.matmul(spread, tf.matmul(bend, spread), transpose_a=True)

    @contextmanager
    def _at(
        self, parameters: list[Any], values: tf.Tensor | list[tf.Tensor], fixed: tf.Tensor
    ) -> Iterator[None]:
        """Let parameters, the fixed ones and what follows from them have these values."""
        constant = self._fixed_parameters + self._derived_parameters
        with (
            _answering(constant, tf.unstack(fixed)),
            _answering(parameters, values if isinstance(values, list) else tf.unstack(values)),
        ):
            yield


def _with_slopes(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], at: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """A density at many points, its integral, and the slopes of both.

    The slope at every point comes out of two backward passes: the first is linear in the cotangent,
        so
    that its own slope there is the forward derivative. (TensorFlow's forward mode gives the same,
    but traces a function for every operation.)

    Args:
        function: parameters (p,) to density (n,) and integral ().
        at: the parameters.

    Returns:
        density (n,), integral (), slopes of the density (p, n) and of the integral (p,).
    """
    if at.shape[0] == 0:
        density, integral = function(at)
        return density, integral, tf.zeros((0, density.shape[0]), tf.float64), at
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape(persistent=True) as inner:
            inner.watch(at)
            density, integral = function(at)
        probe = tf.ones_like(density)
        outer.watch(probe)
        pulled = inner.gradient(density, at, output_gradients=probe, unconnected_gradients="zero")
    slopes = outer.jacobian(pulled, probe, unconnected_gradients="zero")
    return density, integral, slopes, inner.gradient(integral, at, unconnected_gradients="zero")


# With a bare *args TensorFlow would take every call for a wrong one first, and format an error.
_WITH_ARGUMENTS: dict[int, Callable[..., Any]] = {
    1: lambda traced: lambda a: traced(a),
    2: lambda traced: lambda a, b: traced(a, b),
    3: lambda traced: lambda a, b, c: traced(a, b, c),
}


def _vectorised(function: Callable[..., Any], rows: tf.Tensor) -> Any:
    return tf.vectorized_map(function, rows, fallback_to_while_loop=False)


def _looped(function: Callable[..., Any], rows: tf.Tensor) -> Any:
    return tf.map_fn(function, rows, fn_output_signature=(tf.float64,) * 3)


def _limit(limit: Any, absent: float) -> float:
    return absent if limit is None else float(limit)


def _size(events: Sequence[int]) -> str:
    return "small" if max(events) <= _SMALL else "large"


def _rounded(events: int) -> int:
    """The next power of two or of two times three quarters, and never a tiny one."""
    power = 1 << max(events, _SMALLEST_CAPACITY).bit_length()
    for capacity in (power // 2, 3 * power // 4):
        if events <= capacity:
            return capacity
    return power


def _middle(channel: _Channel) -> FloatArray:
    lower, upper = channel.model.space.v1.limits if channel.dimensions else ((), ())
    middle: FloatArray = 0.5 * (np.ravel(lower) + np.ravel(upper))
    return middle


def compiled(loss: Any) -> CompiledLoss:
    """The compiled form of a loss, made once and kept with the loss.

    It is made anew if parameters were fixed or released meanwhile.
    """
    known: CompiledLoss | None = vars(loss).get("_zfit_dark_compiled")
    if known is None or known.outdated():
        known = CompiledLoss(loss)
        loss._zfit_dark_compiled = known
    return known

"""A zfit loss taken apart: the terms of its channels as pure functions of parameters and points.

While a function is traced, every zfit parameter answers with an element of an input vector instead
of its own value. What comes out touches no zfit parameter, and can be compiled, differentiated and
called with any data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import getitem
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import zfit
from zfit.util.exception import NormNotImplemented

from zfit_dark.newton import FloatArray
from zfit_dark.once import once, remembered

ALONE = threading.RLock()
"""Held while zfit parameters answer with tensors: no other thread may look at them or move them."""

_ANSWERS = ("value", "read_value", "_dense_var_to_tensor")


class Parameters:
    """The parameters of a loss, in a fixed order.

    Attributes:
        floating: what a fit may move, sorted by name.
        fixed: independent parameters that it may not, such as a mass, sorted by name.
        derived: composed parameters that follow from fixed ones alone, sorted by name.
        scaled: PDFs whose shape follows from these alone; the integrals that they are divided by
            are found once, and not wherever the shape is.
    """

    def __init__(self, loss: Any) -> None:
        def by_name(parameter: Any) -> str:
            return str(parameter.name)

        floating = loss.get_params(floating=True)
        self.floating: list[Any] = sorted(floating, key=by_name)
        self.fixed: list[Any] = sorted(
            set(loss.get_params(floating=False)) - set(floating), key=by_name
        )
        self.derived: list[Any] = sorted(_derived(loss), key=by_name)
        self.scaled: list[Any] = []
        self._derive: Callable[[tf.Tensor], tf.Tensor] | None = None

    @property
    def lower(self) -> FloatArray:
        """Present lower limits of the floating parameters, shape (floating,)."""
        return np.array([-np.inf if p.lower is None else float(p.lower) for p in self.floating])

    @property
    def upper(self) -> FloatArray:
        """Present upper limits of the floating parameters, shape (floating,)."""
        return np.array([np.inf if p.upper is None else float(p.upper) for p in self.floating])

    @contextmanager
    def at(
        self, index: Sequence[int], values: Sequence[tf.Tensor], constants: tf.Tensor
    ) -> Iterator[None]:
        """Let parameters answer with tensors of the graph that is being traced.

        Args:
            index: which floating parameters answer.
            values: their values.
            constants: see ``derive``.
        """
        floating = {self.floating[i]: value for i, value in zip(index, values, strict=True)}
        known = {name: lambda value=value: value for name, value in floating.items()}
        with _answering(_elements(self.fixed + self.derived, constants) | known):
            yield

    @property
    def constants(self) -> int:
        """How many numbers ``derive`` returns."""
        return len(self.fixed) + len(self.derived) + len(self.scaled)

    def derive(self, fixed: tf.Tensor) -> tf.Tensor:
        """The constants, from the values of the fixed parameters.

        These come first, then those of the derived parameters, then the integrals of scaled PDFs.
        """
        if self.constants == len(self.fixed):
            return fixed
        if self._derive is None:
            signature = tf.TensorSpec((len(self.fixed),), tf.float64)
            function = tf.function(self._with_derived, autograph=False)
            self._derive = function.get_concrete_function(signature)
        return self._derive(fixed)

    def _with_derived(self, fixed: tf.Tensor) -> tf.Tensor:
        # shapes and other parameters ask for these, often
        composed = {p: partial(type(p).value, p) for p in self.derived}
        with _answering(_elements(self.fixed, fixed) | composed):
            derived = [parameter.value() for parameter in self.derived]
            derived += [pdf.normalization(pdf.norm) for pdf in self.scaled]
        return tf.concat([fixed, tf.stack([tf.reshape(value, []) for value in derived])], 0)

    def scale(self, pdf: Any, constants: tf.Tensor) -> tf.Tensor | None:
        """What the shape of a PDF is divided by, or None if it is not among the scaled ones."""
        for i, scaled in enumerate(self.scaled, len(self.fixed) + len(self.derived)):
            if scaled is pdf:
                return constants[i]
        return None

    def scale_nothing(self) -> None:
        """Leave it to all PDFs to divide their shapes."""
        self.scaled, self._derive = [], None

    @staticmethod
    def values(parameters: Sequence[Any]) -> FloatArray:
        """Present values of independent parameters, shape (parameters,)."""
        # zfit's own value() clips to the limits and takes half a millisecond for it
        return np.array(
            [
                float(
                    tf.raw_ops.ReadVariableOp(resource=p.handle, dtype=tf.float64)
                    if isinstance(p, zfit.Parameter)
                    else p.value()
                )
                for p in parameters
            ]
        )

    def spread(self, index: Sequence[int]) -> tf.Tensor:
        """From some of the floating parameters to all, shape (len(index), floating)."""
        return tf.constant(np.eye(len(self.floating))[list(index)])

    def of(self, params: Any) -> list[int]:
        """Where the floating ones among some parameters stand."""
        return [i for i, parameter in enumerate(self.floating) if parameter in params]


def _elements(parameters: Sequence[Any], vector: tf.Tensor) -> dict[Any, Callable[[], tf.Tensor]]:
    """Parameters and the elements of a vector that they answer with."""
    return {p: partial(getitem, vector, i) for i, p in enumerate(parameters)}


@contextmanager
def _answering(answers: Mapping[Any, Callable[[], tf.Tensor]]) -> Iterator[None]:
    """Let parameters answer with what is found when they are first asked, once a graph.

    Of hundreds of fixed parameters a shape wants a handful. What PDFs find is remembered, too.
    """
    for parameter, find in answers.items():
        answer = partial(remembered, ("value", id(parameter)), find)
        # the parameter's own class keeps its methods; these stand in front of them
        vars(parameter).update(
            {
                "value": answer,
                "read_value": answer,
                "_dense_var_to_tensor": lambda *_, answer=answer, **__: answer(),
            }
        )
    try:
        with once(tf.compat.v1.get_default_graph):
            yield
    finally:
        for parameter in answers:
            for name in _ANSWERS:
                vars(parameter).pop(name, None)


class Constraints:
    """What is known of parameters besides the data.

    Args:
        constraints: those of the loss.
        parameters: its parameters.

    Attributes:
        observed: what Gaussian constraints observed, shape (parameters,); 0 for parameters that
            have none.
        scatter: times normal random numbers how that scatters, shape (parameters, parameters).
        others: constraints that are not Gaussian, or the second ones of their parameters.
    """

    def __init__(self, constraints: Sequence[Any], parameters: Parameters) -> None:
        self.parameters = parameters
        size = len(parameters.floating)
        self.observed: FloatArray = np.zeros(size)
        self.scatter: FloatArray = np.zeros((size, size))
        self._weight: FloatArray = np.zeros((size, size))
        self._constant, self.others = 0.0, []
        for constraint in constraints:
            if not self._is_parabola(constraint):
                self.others.append(constraint)
                continue
            index = [parameters.floating.index(p) for p in constraint.params.values()]
            self.observed[index] = [float(value) for value in constraint.observation]
            covariance = np.asarray(constraint.covariance)
            self.scatter[np.ix_(index, index)] = np.linalg.cholesky(covariance)
            self._weight[np.ix_(index, index)] += np.linalg.inv(covariance)
            self._constant += 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]

    def _is_parabola(self, constraint: Any) -> bool:
        """A Gaussian one of floating parameters that nobody constrained before."""
        if type(constraint) is not zfit.constraint.GaussianConstraint:
            return False
        params = list(constraint.params.values())
        if not all(p in self.parameters.floating for p in params):
            return False
        known = self._weight[self.parameters.of(params)].any()
        return not known and not any(hasattr(o, "value") for o in constraint.observation)

    def __call__(
        self, theta: tf.Tensor, constants: tf.Tensor, observed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Value, gradient and second derivatives.

        Args:
            theta: all floating parameters.
            constants: the fixed and the derived ones.
            observed: in the place of the attribute: that of the data, of an Asimov set or of a toy.
        """
        away, curvature = theta - observed, tf.constant(self._weight)
        gradient = tf.linalg.matvec(curvature, away)
        value = self._constant + 0.5 * tf.reduce_sum(away * gradient)
        if not self.others:
            return value, gradient, curvature
        depends = set().union(*(c.get_params(floating=True) for c in self.others))
        index = self.parameters.of(depends)
        spread = self.parameters.spread(index)
        local = tf.gather(theta, index)
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(local)
            with tf.GradientTape() as inner:
                inner.watch(local)
                with self.parameters.at(index, tf.unstack(local), constants):
                    more = tf.add_n([tf.reshape(c.value(), []) for c in self.others])
            slopes = tf.unstack(inner.gradient(more, local, unconnected_gradients="zero"))
        bend = tf.stack(
            [outer.gradient(slope, local, unconnected_gradients="zero") for slope in slopes]
        )
        return (
            value + more,
            gradient + tf.linalg.matvec(spread, tf.stack(slopes), transpose_a=True),
            curvature + tf.matmul(spread, tf.matmul(bend, spread), transpose_a=True),
        )


class Term:
    """One part of a channel's density: a yield times a shape.

    Args:
        pdf: the part, a zfit PDF.
        kind: "extended", "normalised" (no yield), "counts" or "shares" (per bin, of all or of one).
        parameters: those of the loss.

    Attributes:
        index: which floating parameters move the shape; none if no fit changes it.
        own_yield: the yield, a zfit parameter, if there is one.
        yield_index: which floating parameters move it.
        dimensions: observables of the points; 0 if the bins are the points.
        by_zfit: whether zfit evaluates the shape, outside the program.
    """

    def __init__(self, pdf: Any, kind: str, parameters: Parameters) -> None:
        self.pdf = pdf
        self.kind = kind
        self.parameters = parameters
        self.dimensions = 0 if kind in ("counts", "shares") else pdf.n_obs
        # the yield is not part of the shape, except where bins are counted with it
        yields = {"is_yield": False} if kind == "extended" else {}
        self.index = parameters.of(pdf.get_params(floating=True, **yields))
        self.own_yield = pdf.get_yield() if kind == "extended" else None
        self.yield_index: list[int] = []
        if (own := self.own_yield) is not None:
            moving = {own} if own.independent else own.get_params(floating=True)
            self.yield_index = parameters.of(moving)
        self._traced: Callable[..., tuple[tf.Tensor, tf.Tensor]] | None = None
        self.by_zfit = False
        if not self.index and self.dimensions and _is_scaled(pdf):
            parameters.scaled.append(pdf)

    def shape(
        self, theta: tf.Tensor, constants: tf.Tensor, points: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Shape at points, and its slopes.

        Args:
            theta: all floating parameters.
            constants: the fixed and the derived ones.
            points: shape (n, dimensions); without meaning for a term of bins.

        Returns:
            shape (n,) and its slopes with respect to the parameters of ``index``, (n,) each in
            (len(index), n).
        """
        if self._traced is None:
            self._traced = self._trace(constants.shape[0])
        local = tf.gather(theta, tf.constant(self.index, tf.int32))
        shape, slopes = self._traced(local, constants, points)
        n = points.shape[0]  # lost in the graph for any number
        return tf.ensure_shape(shape, [n]), tf.ensure_shape(slopes, [len(self.index), n])

    def obstacle(self, constants: int) -> str | None:
        """Why the shape cannot be compiled, or None if it can.

        A shape that cannot even be traced is from now on evaluated by zfit itself.

        Args:
            constants: how many fixed and derived parameters there are.
        """
        sizes = [(len(self.index),), (constants,), (2, self.dimensions)]
        arguments = [tf.zeros(size, tf.float64) for size in sizes]
        self._traced = None
        try:
            with ALONE:
                self._traced = traced = self._trace(constants)
        except Exception as error:  # whatever a PDF raises when it meets a tensor without value
            self.by_zfit = True
            return _first_line(error)
        try:
            tf.function(lambda *a: traced(*a), jit_compile=True, autograph=False)(*arguments)
        except (tf.errors.OpError, ValueError, NotImplementedError) as error:
            return _first_line(error)
        return None

    def _trace(self, constants: int) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        """The shape as a graph for any number of points, traced once for all programs."""
        return tf.function(  # type: ignore[no-any-return]
            self._shape_and_slopes,
            autograph=False,
            input_signature=[
                tf.TensorSpec((len(self.index),), tf.float64),
                tf.TensorSpec((constants,), tf.float64),
                tf.TensorSpec((None, self.dimensions), tf.float64),
            ],
        ).get_concrete_function()

    def _shape_and_slopes(
        self, theta: tf.Tensor, constants: tf.Tensor, points: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The slopes come out of two backward passes.

        The first is linear in its cotangent, so that its own slope there is the forward derivative.
        (TensorFlow's forward mode gives the same, but traces a function for every operation.)
        """
        if self.by_zfit:
            shape, slopes = tf.numpy_function(
                self._evaluated, [theta, constants, points], [tf.float64, tf.float64]
            )
            return shape, slopes
        if not self.index:
            shape = self.value(theta, constants, points)
            return shape, tf.zeros((0, 1), tf.float64) * shape[None]
        with tf.GradientTape(persistent=True) as outer:
            with tf.GradientTape() as inner:
                inner.watch(theta)
                shape = self.value(theta, constants, points)
            probe = tf.ones_like(shape)
            outer.watch(probe)
            pulled = inner.gradient(shape, theta, output_gradients=probe)
            each = tf.unstack(tf.zeros_like(theta) if pulled is None else pulled)
        slopes = [outer.gradient(one, probe, unconnected_gradients="zero") for one in each]
        return shape, tf.stack(slopes)

    def value(self, theta: tf.Tensor, constants: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
        """Shape at points, (n,), for the parameters of ``index``."""
        scale = self.parameters.scale(self.pdf, constants)
        with self.parameters.at(self.index, tf.unstack(theta), constants):
            if scale is None:
                return self._at_present(points)
            return self.pdf.pdf(self._data(points), norm=False) / scale

    def _data(self, points: tf.Tensor) -> Any:
        return zfit.Data.from_tensor(self.pdf.space, points, guarantee_limits=True)

    def _at_present(self, points: tf.Tensor) -> tf.Tensor:
        """Shape at points for what the parameters answer."""
        if self.kind == "counts":
            return tf.reshape(self.pdf.counts(), [-1])
        if self.kind == "shares":
            return tf.reshape(self.pdf.rel_counts(), [-1])
        return self.pdf.pdf(self._data(points))

    def _evaluated(
        self, theta: FloatArray, constants: FloatArray, points: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Shape at points and its slopes, by zfit itself and by differences."""
        moving = [self.parameters.floating[i] for i in self.index]
        fixed = self.parameters.fixed
        lower, upper = self.parameters.lower[self.index], self.parameters.upper[self.index]

        def at(values: FloatArray) -> FloatArray:
            values = np.append(values, constants[: len(fixed)])
            with zfit.param.set_values([*moving, *fixed], values, clip=True):
                shape: FloatArray = np.asarray(self._at_present(tf.constant(points)), float)
                return shape

        with ALONE, zfit.run.set_graph_mode(False):
            shape, slopes = at(theta), []
            step = np.cbrt(np.finfo(float).eps) * np.maximum(np.abs(theta), 0.1)
            for i, width in enumerate(np.diag(step)):
                ends = np.clip(theta - width, lower, upper), np.clip(theta + width, lower, upper)
                apart = (ends[1] - ends[0])[i]
                slopes.append((at(ends[1]) - at(ends[0])) / apart if apart else 0.0 * shape)
        return shape, np.array(slopes).reshape(len(theta), len(shape))


class Density(NamedTuple):
    """A density at n points and its slopes, which are ``lever.T @ basis``.

    Attributes:
        at_points: the density, shape (n,).
        events: its integral; 0 if the loss is not extended.
        basis: shapes and slopes of shapes, shape (k, n).
        integral: of each element of the basis, shape (k,); ``lever.T @ integral`` are the slopes of
            the events.
        lever: how the parameters act on each element, shape (k, parameters).
    """

    at_points: tf.Tensor
    events: tf.Tensor
    basis: tf.Tensor
    integral: tf.Tensor
    lever: tf.Tensor


class Channel:
    """One model of the loss.

    Args:
        model: a zfit PDF.
        extended: whether its number of events counts.
        binned: whether the model counts bins.
        parameters: those of the loss.

    Attributes:
        terms: what its density is the sum of; first those whose shape no fit changes.
        constant: how many of these there are.
        dimensions: observables; 0 for a model of bins.
        index: which floating parameters the channel depends on.
        edges: how many breakpoints there are; see there.
        middle: of the space, shape (dimensions,).
    """

    def __init__(self, model: Any, extended: bool, binned: bool, parameters: Parameters) -> None:
        self.model = model
        self.extended = extended
        self.binned = binned
        self.parameters = parameters
        parts = [model]
        kind = ("counts" if extended else "shares") if binned else "normalised"
        if extended and not binned:
            kind = "extended"
            if getattr(model, "_automatically_extended", False):
                parts = list(model.pdfs)
        terms = [Term(part, kind, parameters) for part in parts]
        self.terms = sorted(terms, key=lambda term: bool(term.index))
        self.constant = sum(not term.index for term in terms)
        self.dimensions = terms[0].dimensions
        self._index = sorted({i for term in terms for i in term.yield_index})
        self.index = sorted({i for term in terms for i in (*term.yield_index, *term.index)})
        lower, upper = (np.ravel(edge) for edge in model.space.v1.limits)
        self.middle: FloatArray = (0.5 * (lower + upper))[: self.dimensions]
        self._ends = float(lower[0]), float(upper[0])
        self._holes = list(dict.fromkeys(_hole_edges(model)))
        self.edges = 2 + len(self._holes)

    def yields(self, theta: tf.Tensor, constants: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Expected events of each term, and their slopes with respect to all parameters.

        Terms without a yield of their own have one event, or what their bins count.

        Returns:
            shapes (terms,) and (terms, parameters).
        """
        own = [term.own_yield for term in self.terms]
        if own[0] is None:
            return tf.ones(1, tf.float64), tf.zeros((1, len(self.parameters.floating)), tf.float64)
        local = tf.gather(theta, self._index)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(local)
            with self.parameters.at(self._index, tf.unstack(local), constants):
                values = [
                    tf.reshape(tf.convert_to_tensor(of.value(), tf.float64), [])
                    for of in own
                    if of is not None
                ]
        slopes = [tape.gradient(v, local, unconnected_gradients="zero") for v in values]
        return tf.stack(values), tf.matmul(tf.stack(slopes), self.parameters.spread(self._index))

    def known(self, constants: tf.Tensor, points: tf.Tensor) -> list[tf.Tensor]:
        """Shapes that no fit changes, of the first ``constant`` terms, shape (n,) each."""
        nothing = tf.zeros(len(self.parameters.floating), tf.float64)
        return [t.shape(nothing, constants, points)[0] for t in self.terms[: self.constant]]

    def density(
        self,
        theta: tf.Tensor,
        constants: tf.Tensor,
        points: tf.Tensor,
        known: Sequence[tf.Tensor],
    ) -> Density:
        """The density at points and what its slopes are made of.

        Args:
            theta: all floating parameters.
            constants: the fixed and the derived ones.
            points: shape (n, dimensions).
            known: shapes of the first ``constant`` terms at the points.
        """
        yields, levers = self.yields(theta, constants)
        rows, slopes, into = list(known), [], [levers]
        each = tf.unstack(yields)
        for term, own in zip(self.terms[self.constant :], each[self.constant :], strict=True):
            shape, slope = term.shape(theta, constants, points)
            rows.append(shape)
            slopes.append(own * slope)
            into.append(self.parameters.spread(term.index))
        basis = tf.concat([tf.stack(rows), *slopes], 0)
        integral = tf.zeros_like(basis[:, 0])
        if self.extended and self.binned:
            integral = tf.reduce_sum(basis, 1)
        elif self.extended:  # shapes are normalised, whatever their parameters
            integral = tf.constant(np.arange(basis.shape[0]) < len(rows), tf.float64)
        return Density(
            at_points=tf.add_n([own * row for own, row in zip(each, rows, strict=True)]),
            events=tf.reduce_sum(yields * integral[: len(rows)]),
            basis=basis,
            integral=integral,
            lever=tf.concat(into, 0),
        )

    def expected(
        self,
        theta: tf.Tensor,
        constants: tf.Tensor,
        points: tf.Tensor,
        known: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The density at points, shape (n,), and its integral; see ``density`` for the rest."""
        yields, _ = self.yields(theta, constants)
        moving = self.terms[self.constant :]
        shapes = [*known, *(t.shape(theta, constants, points)[0] for t in moving)]
        density = tf.add_n([own * s for own, s in zip(tf.unstack(yields), shapes, strict=True)])
        return density, tf.reduce_sum(density if self.binned else yields)

    def slope(
        self,
        theta: tf.Tensor,
        constants: tf.Tensor,
        points: tf.Tensor,
        known: Sequence[tf.Tensor],
        parameter: int,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Slope of the density along one floating parameter, shape (n,), and of its integral.

        Only the terms that the parameter acts on are looked at.
        """
        yields, levers = self.yields(theta, constants)
        total = tf.zeros(points.shape[0], tf.float64)
        for i, term in enumerate(self.terms):
            if i < self.constant:
                if parameter in term.yield_index:
                    total += levers[i, parameter] * known[i]
            elif parameter in (*term.yield_index, *term.index):
                shape, slopes = term.shape(theta, constants, points)
                total += levers[i, parameter] * shape
                if parameter in term.index:
                    total += yields[i] * slopes[term.index.index(parameter)]
        return total, tf.reduce_sum(total if self.binned else levers[:, parameter])

    def breakpoints(self, value: Callable[[Any], float], number: int) -> FloatArray:
        """Where the density may jump: the edges of the observable and of every hole, ascending.

        Edges that lie outside stand at the ends.

        Args:
            value: tells the value of an edge that is a parameter.
            number: of breakpoints; any that are missing stand at the upper end, too.
        """
        edges = [edge if isinstance(edge, float) else value(edge) for edge in self._holes]
        edges += [self._ends[1]] * (number - self.edges)
        return np.sort(np.clip([*self._ends, *edges], *self._ends))[:number]


def _is_scaled(pdf: Any) -> bool:
    """Whether zfit divides the shape by its integral, because the PDF itself does not."""
    try:
        pdf._pdf(None, pdf.norm)
    except NormNotImplemented:
        return True
    except Exception:  # it goes to work without points
        pass
    return False


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]


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
    return found


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

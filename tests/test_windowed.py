"""A PDF laid over a window against the same function written in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import zfit
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev
from scipy.integrate import quad

from zfit_dark.errors import InputError
from zfit_dark.newton import FloatArray
from zfit_dark.pdf import Windowed
from zfit_dark.pdf._space import tensor_space

SERIES = np.array([1.0, 0.4, -0.3])
RANGE = (0.1, 4.5)

edges = st.tuples(st.floats(0.1, 4.4), st.floats(1e-3, 2.0))


def unit_pdf(name: str, low: float = -1.0, high: float = 1.0, **arguments: Any) -> Any:
    coefficients = [zfit.Parameter(f"{name}_c{i}", c) for i, c in enumerate(SERIES[1:], start=1)]
    return zfit.pdf.Chebyshev(
        zfit.Space("windowed", low, high), coefficients, name=name, **arguments
    )


@dataclass(frozen=True)
class Moving:
    """A windowed PDF, traced once."""

    pdf: Any
    low: Any
    high: Any
    density: Callable[..., Any]
    integral: Callable[..., Any]

    def to(self, window: tuple[float, float]) -> tuple[float, float]:
        """Move it to the window of a start and a width, within the range."""
        low, high = window[0], min(window[0] + window[1], RANGE[1])
        self.low.assign(low)
        self.high.assign(high)
        return low, high


@pytest.fixture(scope="module")
def moving() -> Moving:
    low = zfit.Parameter("window_low", 0.5, floating=False)
    high = zfit.Parameter("window_high", 1.5, floating=False)
    obs = zfit.Space("windowed", *RANGE)
    pdf = Windowed(unit_pdf("moving"), low, high, obs)
    number = tf.TensorSpec((), tf.float64)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def density(x: Any) -> Any:
        return pdf.pdf(zfit.Data.from_tensor(obs, x[:, None], guarantee_limits=True))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def integral(start: Any, stop: Any) -> Any:
        return pdf.integrate(tensor_space(obs.obs, start, stop))[0]

    return Moving(
        pdf,
        low,
        high,
        density.get_concrete_function(tf.TensorSpec((None,), tf.float64)),
        integral.get_concrete_function(number, number),
    )


def reference(x: FloatArray, low: float, high: float) -> FloatArray:
    """Density, normalised over the window."""
    t = (2 * x - low - high) / (high - low)
    primitive = chebyshev.chebint(SERIES)
    whole = np.diff(chebyshev.chebval(np.array([-1.0, 1.0]), primitive))[0]
    density = chebyshev.chebval(t, SERIES) / whole * 2 / (high - low)
    return np.where((x >= low) & (x <= high), density, 0.0)


def reference_integral(start: float, stop: float, low: float, high: float) -> float:
    start, stop = (min(max(edge, low), high) for edge in (start, stop))
    value, _ = quad(lambda x: float(reference(np.array(x), low, high)), start, stop)
    return value


@given(window=edges)
def test_density_follows_the_window(moving: Moving, window: tuple[float, float]) -> None:
    low, high = moving.to(window)
    x = np.concatenate([np.linspace(*RANGE, 41), np.linspace(low, high, 21)])
    found = np.asarray(moving.density(tf.constant(x)))
    np.testing.assert_allclose(found, reference(x, low, high), rtol=1e-9, atol=1e-12)


@given(window=edges)
def test_edges_belong_to_the_window(moving: Moving, window: tuple[float, float]) -> None:
    """To the last bit: an event there must not have density 0."""
    low, high = moving.to(window)
    x = np.array([low, high, np.nextafter(low, 0), np.nextafter(high, 9)])
    found = np.asarray(moving.density(tf.constant(x)))
    assert (found[:2] > 0).all()
    assert not found[2:].any()


@given(window=edges, start=st.floats(0.0, 4.4), length=st.floats(1e-3, 3.0))
def test_integral_over_any_limits(
    moving: Moving, window: tuple[float, float], start: float, length: float
) -> None:
    """Inside the window, over its edges, around it, beside it."""
    low, high = moving.to(window)
    stop = start + length
    found = float(moving.integral(tf.constant(start, tf.float64), tf.constant(stop, tf.float64)))
    assert found == pytest.approx(reference_integral(start, stop, low, high), rel=1e-7, abs=1e-9)


def test_number_edges_and_parameter_edges_agree(moving: Moving) -> None:
    low, high = moving.to((0.7, 1.2))
    fixed = Windowed(unit_pdf("numbers"), low, high, zfit.Space("windowed", *RANGE))
    x = np.linspace(0.5, 2.0, 31)
    expected = np.asarray(moving.pdf.pdf(x))
    assert expected.max() > 0
    np.testing.assert_allclose(np.asarray(fixed.pdf(x)), expected, rtol=1e-13)


def test_numeric_integral_of_a_pdf_without_an_analytic_one() -> None:
    class Cosine(zfit.pdf.ZPDF):
        _PARAMS = ()

        def _unnormalized_pdf(self, x: Any, params: Any = None) -> Any:
            del params
            return tf.cos(x[0])

    pdf = Windowed(
        Cosine(obs=zfit.Space("windowed", -1, 1)), 1.0, 3.0, zfit.Space("windowed", *RANGE)
    )
    x = np.array([0.9, 1.0, 2.0, 2.5, 3.1])
    expected = np.where((x >= 1) & (x <= 3), np.cos(x - 2) / (2 * np.sin(1.0)), 0.0)
    np.testing.assert_allclose(np.asarray(pdf.pdf(x)), expected, rtol=1e-5)
    assert float(pdf.integrate((0.5, 2.0))[0]) == pytest.approx(0.5, rel=1e-5)


def test_parameters_and_yield() -> None:
    low = zfit.Parameter("yield_window_low", 0.5, floating=False)
    pdf = Windowed(unit_pdf("extended"), low, 1.5, zfit.Space("windowed", *RANGE), extended=42.0)
    assert float(pdf.get_yield().value()) == 42.0
    x = np.array([0.6, 1.2])
    np.testing.assert_allclose(np.asarray(pdf.ext_pdf(x)), 42 * reference(x, 0.5, 1.5), rtol=1e-10)
    assert low in pdf.get_params(floating=False, is_yield=None)
    assert {p.name for p in pdf.get_params(is_yield=False)} == {"extended_c1", "extended_c2"}


def test_gradients_as_finite_differences() -> None:
    """Of density and normalisation along both edges, inside the window and outside."""
    x = np.array([0.4, 0.6, 1.1, 1.4, 1.6])
    at = np.array([0.5, 1.5])
    step = 1e-6
    low, high = (
        zfit.Parameter(f"gradient_{n}", v, floating=False)
        for n, v in zip(("low", "high"), at, strict=True)
    )
    pdf = Windowed(unit_pdf("gradient"), low, high, zfit.Space("windowed", *RANGE))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def slopes() -> Any:
        with tf.GradientTape() as tape:
            values = pdf.pdf(x)
        return tape.jacobian(values, [low, high])

    found = np.stack([np.asarray(s) for s in slopes()])
    for i in range(2):
        shift = step * np.eye(2)[i]
        expected = (reference(x, *(at + shift)) - reference(x, *(at - shift))) / (2 * step)
        np.testing.assert_allclose(found[i], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "pdf",
    [
        unit_pdf("too_wide", -1.0, 2.0),
        unit_pdf("elsewhere", 0.0, 1.0),
        unit_pdf("with_yield", extended=5.0),
    ],
    ids=lambda pdf: pdf.name,
)
def test_refuses_a_pdf_that_is_not_on_the_unit_window(pdf: Any) -> None:
    with pytest.raises(InputError, match=r"a window needs a PDF on \[-1, 1\] without a yield"):
        Windowed(pdf, 0.5, 1.5, zfit.Space("windowed", *RANGE))


def test_refuses_two_observables() -> None:
    both = zfit.pdf.ProductPDF(
        [
            unit_pdf("first"),
            zfit.pdf.Gauss(0.0, 1.0, obs=zfit.Space("windowed_too", -1, 1)),
        ]
    )
    with pytest.raises(InputError, match="a window needs a PDF"):
        Windowed(both, 0.5, 1.5, zfit.Space("windowed", *RANGE))

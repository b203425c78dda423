"""Terms of Bernstein's basis: shape, integral and windows against zfit's polynomial and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import zfit
from scipy.integrate import quad
from scipy.stats import binom

from zfit_dark.errors import InputError
from zfit_dark.pdf import Vetoed, Windowed
from zfit_dark.pdf.bernstein import BernsteinTerm

TERMS = [(i, n) for n in range(6) for i in range(n + 1)]
OBS = zfit.Space("x", -1.0, 1.0)
WIDE = zfit.Space("x", 0.5, 3.0)
HOLES = [(0.9, 1.1), (1.05, 1.3), (2.5, 2.6)]


def expected(x: np.ndarray, i: int, n: int) -> np.ndarray:
    """The chance of i successes in n, each of chance t: Bernstein's polynomial."""
    return np.asarray(binom.pmf(i, n, (x + 1.0) / 2.0))


@pytest.mark.parametrize(("i", "n"), TERMS)
def test_shape_and_integral_are_those_of_the_polynomial(i: int, n: int) -> None:
    term = BernsteinTerm(i, n, OBS)
    x = np.linspace(-1.0, 1.0, 41)
    assert np.allclose(term.pdf(x, norm=False), expected(x, i, n), rtol=1e-13, atol=1e-15)
    assert float(term.normalization(OBS)[0]) == pytest.approx(2.0 / (n + 1), rel=1e-14)
    for low, high in ((-0.3, 0.8), (-1.0, -0.999), (0.2, 0.2000001)):
        found = float(term.integrate(zfit.Space("x", low, high), norm=False)[0])
        assert found == pytest.approx(quad(expected, low, high, args=(i, n))[0], rel=1e-12, abs=0)


@pytest.mark.parametrize(("i", "n"), [(0, 0), (1, 1), (1, 2), (0, 3)])
def test_in_a_window_with_holes_it_is_that_of_zfit(i: int, n: int) -> None:
    def laid(polynomial: object) -> Vetoed:
        return Vetoed(Windowed(polynomial, 0.8, 2.7, WIDE), HOLES)

    flat = zfit.pdf.Uniform(-1.0, 1.0, obs=OBS)
    other = zfit.pdf.Bernstein(OBS, list(np.eye(n + 1)[i])) if n else flat
    x = np.linspace(0.5, 3.0, 301)
    np.testing.assert_allclose(
        laid(BernsteinTerm(i, n, OBS)).pdf(x), laid(other).pdf(x), rtol=1e-12, atol=1e-14
    )


def test_there_is_no_other_term() -> None:
    for i, n in ((3, 2), (-1, 2)):
        with pytest.raises(InputError, match="give one from 0 to 2"):
            BernsteinTerm(i, n, OBS)

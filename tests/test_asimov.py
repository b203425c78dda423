"""Sums over the Asimov nodes against integrals by scipy, for peaks narrow, cut and at the edge."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st
from numba_stats import crystalball_ex  # type: ignore[import-untyped]
from scipy.integrate import quad
from scipy.special import ndtr

from zfit_dark import asimov
from zfit_dark.asimov import ORDER, PANELS
from zfit_dark.newton import FloatArray

GRID = ORDER * PANELS
LOW, HIGH = 0.16, 4.6
SPAN = HIGH - LOW

places = st.floats(-0.001, 1.001)
narrowness = st.floats(np.log10(2.0), np.log10(5000.0))
Holes = list[tuple[float, float]]
Shape = tuple[float, float, float, float, float, float]


_LOOK: list[Callable[[FloatArray], FloatArray]] = []


@functools.cache
def _quadrature(channels: int, edges: int) -> Callable[..., tuple[tf.Tensor, ...]]:
    """The graph for so many breakpoints; what the signal is is asked at run time."""

    def look(nodes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        signal = tf.numpy_function(lambda x: _LOOK[0](x), [nodes], tf.float64)
        return nodes, tf.ensure_shape(signal, nodes.shape)

    nothing = tf.zeros((channels, asimov.nodes_of(edges)), tf.float64)
    return tf.function(lambda cuts: asimov.quadrature(cuts, look, nothing), autograph=False)  # type: ignore[no-any-return]


def quadrature(
    cuts: list[FloatArray], signal: Callable[[list[FloatArray]], list[FloatArray]]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Nodes and weights of channels; those with fewer breakpoints repeat their last one."""
    most = max(map(len, cuts))
    padded = np.stack([np.append(c, np.full(most - len(c), c[-1])) for c in cuts])
    looks = []

    def look(nodes: FloatArray) -> FloatArray:
        looks.append(nodes)
        return np.stack(signal(list(nodes)))

    _LOOK.append(look)
    nodes, weights, kept = _quadrature(*padded.shape)(tf.constant(padded))
    _LOOK.clear()
    np.testing.assert_array_equal(kept, nodes)  # what is kept belongs to the last nodes
    np.testing.assert_array_equal(looks[-1], nodes)
    assert nodes.shape[1] == asimov.nodes_of(most)
    real = [slice(0, asimov.nodes_of(len(c))) for c in cuts]
    return (
        [x[part] for x, part in zip(nodes.numpy(), real, strict=True)],
        [w[part] for w, part in zip(weights.numpy(), real, strict=True)],
    )


def panel_edges(cuts: FloatArray, grid: FloatArray, signal: FloatArray) -> FloatArray:
    found = _panel_edges(*(tf.constant(a[None]) for a in (cuts, grid, signal)))
    edges: FloatArray = found.numpy()[0]
    return edges


_panel_edges = tf.function(asimov.panel_edges, autograph=False, reduce_retracing=False)


def gauss_legendre(edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    nodes, weights = asimov.gauss_legendre(tf.constant(edges))
    return nodes.numpy(), weights.numpy()


def breakpoints(holes: Holes) -> FloatArray:
    inside = [edge for hole in holes for edge in hole if LOW < edge < HIGH]
    return np.unique(np.array([LOW, *inside, HIGH]))


def cut(density: Callable[[FloatArray], FloatArray], holes: Holes) -> Callable[..., FloatArray]:
    """The density outside the holes, which are open intervals."""

    def visible(x: FloatArray) -> FloatArray:
        hidden = np.zeros(x.shape, bool)
        for low, high in holes:
            hidden |= (x > low) & (x < high)
        return np.where(hidden, 0.0, density(x))

    return visible


def nodes_of(
    density: Callable[[FloatArray], FloatArray], holes: Holes
) -> tuple[FloatArray, FloatArray]:
    visible = cut(density, holes)
    nodes, weights = quadrature([breakpoints(holes)], lambda grids: [visible(g) for g in grids])
    return nodes[0], weights[0]


def pieces(holes: Holes) -> list[tuple[float, float]]:
    cuts = breakpoints(holes)
    middles = 0.5 * (cuts[1:] + cuts[:-1])
    return [
        (float(a), float(b))
        for a, b, middle in zip(cuts[:-1], cuts[1:], middles, strict=True)
        if not any(low < middle < high for low, high in holes)
    ]


def gauss(mu: float, sigma: float) -> Callable[[FloatArray], FloatArray]:
    return lambda x: np.exp(-0.5 * ((x - mu) / sigma) ** 2)


def gauss_integral(mu: float, sigma: float, holes: Holes) -> float:
    return float(
        sum(
            sigma * np.sqrt(2 * np.pi) * (ndtr((b - mu) / sigma) - ndtr((a - mu) / sigma))
            for a, b in pieces(holes)
        )
    )


def double_cb(
    mu: float, sigma: float, alphal: float, nl: float, alphar: float, nr: float
) -> Callable[[FloatArray], FloatArray]:
    def density(x: FloatArray) -> FloatArray:
        t = (x - mu) / sigma
        alpha, n = np.where(t < 0, alphal, alphar), np.where(t < 0, nl, nr)
        distance = np.abs(t)
        tail = (
            np.exp(-(alpha**2) / 2)
            * (n / alpha / np.maximum(n / alpha - alpha + distance, 1e-9)) ** n
        )
        return np.where(distance <= alpha, np.exp(-0.5 * t**2), tail)

    return density


def double_cb_integral(shape: Shape, holes: Holes) -> float:
    """By the cumulative distribution of numba-stats."""
    mu, sigma, alphal, nl, alphar, nr = shape
    arguments = (alphal, nl, sigma, alphar, nr, sigma, mu)
    cumulative = crystalball_ex.cdf(np.array(pieces(holes)).ravel(), *arguments)
    peak = crystalball_ex.pdf(np.array([mu]), *arguments)[0]
    return float(np.diff(cumulative.reshape(-1, 2)).sum() / peak)


def holes_near(mu: float, sigma: float, spots: list[tuple[float, float]]) -> Holes:
    """Holes at some distance from the peak and of some width, both in units of sigma."""
    return [(mu + at * sigma, mu + (at + width) * sigma) for at, width in spots]


spots = st.lists(st.tuples(st.floats(-8, 8), st.floats(0.05, 6)), max_size=3)


# ------------------------------------------------------------------ integrals


@given(place=places, narrow=narrowness, spots=spots)
def test_gaussian_anywhere_and_cut_by_holes(
    place: float, narrow: float, spots: list[tuple[float, float]]
) -> None:
    """To 1e-9 of the whole peak, from half the range to one in 5000 of it."""
    mu, sigma = LOW + place * SPAN, SPAN / 10**narrow
    holes = holes_near(mu, sigma, spots)
    nodes, weights = nodes_of(gauss(mu, sigma), holes)
    found = cut(gauss(mu, sigma), holes)(nodes) @ weights
    whole = sigma * np.sqrt(2 * np.pi)
    assert found == pytest.approx(gauss_integral(mu, sigma, holes), rel=0, abs=1e-9 * whole)


@given(
    place=places,
    narrow=narrowness,
    alphas=st.tuples(st.floats(0.8, 3), st.floats(0.8, 3)),
    powers=st.tuples(st.floats(1.5, 20), st.floats(1.5, 20)),
    spots=spots,
)
def test_double_crystal_ball_anywhere_and_cut_by_holes(
    place: float,
    narrow: float,
    alphas: tuple[float, float],
    powers: tuple[float, float],
    spots: list[tuple[float, float]],
) -> None:
    """To 1e-5 of the whole peak: its curvature jumps where the tails start, inside a panel."""
    mu, sigma = LOW + place * SPAN, SPAN / 10**narrow
    shape = (mu, sigma, alphas[0], powers[0], alphas[1], powers[1])
    holes = holes_near(mu, sigma, spots)
    nodes, weights = nodes_of(double_cb(*shape), holes)
    found = cut(double_cb(*shape), holes)(nodes) @ weights
    whole = double_cb_integral(shape, [])
    assert found == pytest.approx(double_cb_integral(shape, holes), rel=0, abs=1e-5 * whole)


@pytest.mark.parametrize("sigma", [0.2, 0.02, 0.008, 0.001])
def test_double_crystal_ball_to_a_millionth(sigma: float) -> None:
    """Root mean square over masses, against scipy's adaptive rule from joint to joint."""
    errors = []
    for mu in np.linspace(LOW + 3 * sigma, HIGH - 3 * sigma, 15):
        density = double_cb(float(mu), sigma, 1.2, 4.0, 1.8, 8.0)
        nodes, weights = nodes_of(density, [])
        marks = np.clip(mu + sigma * np.array([-200, -20, -1.2, 0, 1.8, 20, 200]), LOW, HIGH)
        exact = sum(
            quad(lambda x, f=density: float(f(np.array(x))), a, b, epsabs=0, epsrel=1e-10)[0]
            for a, b in pairwise([LOW, *marks, HIGH])
            if a < b
        )
        errors.append(density(nodes) @ weights / exact - 1)
    assert np.sqrt(np.mean(np.square(errors))) < 1e-6


@given(place=places, narrow=narrowness, spots=spots, power=st.integers(0, 2 * ORDER - 1))
def test_polynomials_are_exact_whatever_the_signal(
    place: float, narrow: float, spots: list[tuple[float, float]], power: int
) -> None:
    mu, sigma = LOW + place * SPAN, SPAN / 10**narrow
    holes = holes_near(mu, sigma, spots)
    nodes, weights = nodes_of(gauss(mu, sigma), holes)

    def background(x: FloatArray) -> FloatArray:
        return ((x - LOW) / SPAN) ** power

    def primitive(x: float) -> float:
        return SPAN * ((x - LOW) / SPAN) ** (power + 1) / (power + 1)

    expected = sum(primitive(b) - primitive(a) for a, b in pieces(holes))
    found = cut(background, holes)(nodes) @ weights
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_no_signal_is_an_even_rule() -> None:
    nodes, weights = nodes_of(np.zeros_like, [])
    assert nodes.size == ORDER * PANELS
    assert weights.sum() == pytest.approx(SPAN, rel=1e-14)
    assert np.exp(-nodes) @ weights == pytest.approx(np.exp(-LOW) - np.exp(-HIGH), rel=1e-14)
    np.testing.assert_allclose(weights.reshape(PANELS, ORDER).sum(axis=1), SPAN / PANELS)


def test_signal_that_turns_negative_counts_by_its_size() -> None:
    def slope(x: FloatArray) -> FloatArray:
        return -gauss(1.3, 0.002)(x)

    nodes, weights = nodes_of(slope, [])
    assert slope(nodes) @ weights == pytest.approx(-0.002 * np.sqrt(2 * np.pi), rel=1e-9)


def test_signal_hidden_completely() -> None:
    """The holes swallow the peak: what is left of it is next to nothing, and no NaN."""
    holes = [(1.0, 1.6)]
    nodes, weights = nodes_of(gauss(1.3, 0.001), holes)
    assert np.isfinite(nodes).all()
    assert cut(np.ones_like, holes)(nodes) @ weights == pytest.approx(SPAN - 0.6, rel=1e-13)


def test_channels_have_nodes_of_their_own() -> None:
    """A channel does not feel what the others look like."""
    cuts = [breakpoints([(1.0, 1.2)]), breakpoints([(0.5, 0.6)]), np.array([0.0, 0.3, 0.4, 1.0])]
    shapes = [gauss(0.3, 0.002), gauss(3.0, 0.01), gauss(0.5, 0.1)]
    together = quadrature(cuts, lambda gs: [f(g) for f, g in zip(shapes, gs, strict=True)])
    for i, (c, f) in enumerate(zip(cuts, shapes, strict=True)):
        (nodes,), (weights,) = quadrature([c], lambda grids, f=f: [f(grids[0])])  # type: ignore[misc]
        np.testing.assert_allclose(together[0][i], nodes, rtol=1e-12)
        np.testing.assert_allclose(together[1][i], weights, rtol=1e-10)


# ------------------------------------------------------------------ nodes and edges


@given(place=places, narrow=narrowness, spots=spots)
def test_nodes_ascend_inside_the_range(
    place: float, narrow: float, spots: list[tuple[float, float]]
) -> None:
    mu, sigma = LOW + place * SPAN, SPAN / 10**narrow
    holes = holes_near(mu, sigma, spots)
    cuts = breakpoints(holes)
    nodes, weights = nodes_of(gauss(mu, sigma), holes)
    assert nodes.size == weights.size == ORDER * (PANELS + len(cuts) - 2)
    assert (np.diff(nodes) >= 0).all()
    assert (weights >= 0).all()
    assert LOW <= nodes[0] <= nodes[-1] <= HIGH
    assert weights.sum() == pytest.approx(SPAN, rel=1e-13)
    per_piece = np.histogram(nodes, cuts, weights=weights)[0]
    np.testing.assert_allclose(per_piece, np.diff(cuts), rtol=1e-9, atol=1e-14)


@given(seed=st.integers(0, 2**32 - 1), holes=st.integers(0, 5))
def test_panel_edges_ascend_and_hold_all_breakpoints(seed: int, holes: int) -> None:
    rng = np.random.default_rng(seed)
    cuts = np.unique(np.array([0.0, *rng.uniform(0, 1, holes), 1.0]))
    grid = np.sort(np.concatenate([[0.0, 1.0], rng.uniform(0, 1, GRID - 2)]))
    assume((np.diff(grid) > 0).all())
    signal = gauss(rng.uniform(), 10 ** rng.uniform(-3, 0))(grid)
    edges = panel_edges(cuts, grid, signal)
    assert edges.size == PANELS + 1 + len(cuts) - 2
    assert (np.diff(edges) >= 0).all()
    assert np.isin(cuts, edges).all()
    assert edges[0] == 0.0
    assert edges[-1] == 1.0


def test_panels_next_to_the_peak_grow_slowly() -> None:
    """No panel reaches from the flank of the peak into the far range."""
    grid = np.linspace(0, 1, GRID)
    edges = panel_edges(np.array([0.0, 1.0]), grid, gauss(0.5, 0.01)(grid))
    widths = np.diff(edges)
    ratios = widths[1:] / widths[:-1]
    assert widths.max() / widths.min() > 10
    assert ((ratios > 0.3) & (ratios < 3.3)).all()


def test_gauss_legendre_is_exact_to_its_order(rng: np.random.Generator) -> None:
    edges = np.sort(rng.uniform(-2, 2, 6))
    nodes, weights = gauss_legendre(edges)
    power = 2 * ORDER - 1
    exact = (edges[-1] ** (power + 1) - edges[0] ** (power + 1)) / (power + 1)
    assert nodes**power @ weights == pytest.approx(exact, rel=1e-11)

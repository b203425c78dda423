"""The Asimov set without bins: quadrature nodes, weighted with the expected density.

A sum over the nodes is the integral that an infinitely finely binned Asimov set would give. The
nodes follow the signal and stop at the edges of holes, so that a few hundred are as good as any
number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zfit_dark.newton import FloatArray

PANELS = 32
"""Panels of a channel; each breakpoint inside adds one."""

ORDER = 10
"""Gauss-Legendre nodes of a panel."""

GRID = ORDER * PANELS
"""Points at which the signal is looked for, first evenly over the range, then twice closer."""

_GROWTH = 0.5
"""A panel is at most wider than another by this times their distance."""


def panel_edges(breakpoints: FloatArray, grid: FloatArray, signal: FloatArray) -> FloatArray:
    """Edges of the quadrature panels: narrow where the signal is, ever wider away from it.

    Panels that only followed the signal would be narrow in it and, next to it, as wide as the rest
    of the range: the first of those would lose what is left of the tail.

    Args:
        breakpoints: where the density may jump, ascending; the first and last are the ends.
        grid: where the signal is known, ascending.
        signal: signal density at the grid, any normalisation.

    Returns:
        Panel edges, ascending, with all breakpoints among them.
    """
    size = np.abs(signal)
    density = 0.2 * _share(np.ones(len(grid)), grid)
    density += 0.4 * _share(np.sqrt(size), grid) + 0.4 * _share(size, grid)
    width, reach = 1.0 / (PANELS * density), _GROWTH * grid
    after = np.minimum.accumulate(width - reach) + reach
    before = np.minimum.accumulate((width + reach)[::-1])[::-1] - reach
    density = 1.0 / np.minimum(after, before)
    cumulative = np.concatenate([[0.0], np.cumsum(_cells(density, grid))])
    edges = np.interp(np.linspace(0, cumulative[-1], PANELS + 1), cumulative, grid)
    edges[[0, -1]] = breakpoints[[0, -1]]
    return np.sort(np.concatenate([edges, breakpoints[1:-1]]))


def _share(weight: FloatArray, grid: FloatArray) -> FloatArray:
    """A weight with integral one over the grid; evenly one if there is none."""
    total = _cells(weight, grid).sum()
    return weight / total if total > 0 else np.full(len(grid), 1.0 / (grid[-1] - grid[0]))


def _cells(density: FloatArray, grid: FloatArray) -> FloatArray:
    """Integrals between the points of a grid."""
    cells: FloatArray = 0.5 * (density[1:] + density[:-1]) * np.diff(grid)
    return cells


def gauss_legendre(edges: FloatArray, order: int = ORDER) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a Gauss-Legendre rule on every panel.

    Args:
        edges: panel edges, ascending, shape (panels + 1,).
        order: nodes of a panel.

    Returns:
        nodes and weights, each of shape (panels * order,), ascending.
    """
    abscissae, weights = np.polynomial.legendre.leggauss(order)
    half = 0.5 * np.diff(edges)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
    return (middle + half * abscissae).ravel(), (half * weights).ravel()


def quadrature(
    breakpoints: list[FloatArray],
    signal: Callable[[list[FloatArray]], list[FloatArray]],
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Quadrature nodes and weights of every channel.

    Args:
        breakpoints: of each channel, ascending.
        signal: signal densities of all channels at grids, one array a channel.

    Returns:
        nodes and weights, one array a channel.
    """
    edges = [
        np.sort(np.concatenate([np.linspace(cuts[0], cuts[-1], PANELS + 1), cuts[1:-1]]))
        for cuts in breakpoints
    ]
    share = np.linspace(0, 1, GRID)
    for _ in range(3):
        grids = [np.interp(share, np.linspace(0, 1, len(e)), e) for e in edges]
        edges = [
            panel_edges(cuts, grid, density)
            for cuts, grid, density in zip(breakpoints, grids, signal(grids), strict=True)
        ]
    rules = [gauss_legendre(e) for e in edges]
    return [nodes for nodes, _ in rules], [weights for _, weights in rules]

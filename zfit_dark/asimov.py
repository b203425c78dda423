"""The Asimov set without bins: quadrature nodes, weighted with the expected density.

A sum over the nodes is the integral that an infinitely finely binned Asimov set would give. The nodes
follow the signal and stop at the edges of holes, so that a few hundred are as good as any number.
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
"""Points at which the signal is looked for, first evenly over the range, then closer, three times."""

_ABSCISSAE, _WEIGHTS = np.polynomial.legendre.leggauss(ORDER)


def panel_edges(breakpoints: FloatArray, grid: FloatArray, signal: FloatArray) -> FloatArray:
    """Edges of the quadrature panels: half of them spread evenly, half where the signal is.

    Args:
        breakpoints: where the density may jump, ascending; the first and last are the ends.
        grid: where the signal is known, ascending.
        signal: signal density at the grid, any normalisation.

    Returns:
        Panel edges, ascending, with all breakpoints among them.
    """
    importance = np.sqrt(np.abs(signal))
    cell = np.diff(grid)
    inside = 0.5 * (importance[1:] + importance[:-1]) * cell
    total = inside.sum()
    even = cell / cell.sum()
    density = 0.5 * even + 0.5 * (inside / total if total > 0 else even)
    cumulative = np.concatenate([[0.0], np.cumsum(density)])
    edges = np.interp(np.linspace(0, 1, PANELS + 1), cumulative / cumulative[-1], grid)
    edges[[0, -1]] = breakpoints[[0, -1]]
    return np.sort(np.concatenate([edges, breakpoints[1:-1]]))


def gauss_legendre(edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a Gauss-Legendre rule on every panel.

    Args:
        edges: panel edges, ascending, shape (panels + 1,).

    Returns:
        nodes and weights, each of shape (panels * ORDER,).
    """
    half = 0.5 * np.diff(edges)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
    return (middle + half * _ABSCISSAE).ravel(), (half * _WEIGHTS).ravel()


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
    grids = [np.linspace(cuts[0], cuts[-1], GRID) for cuts in breakpoints]
    for _ in range(3):
        edges = [
            panel_edges(cuts, grid, density)
            for cuts, grid, density in zip(breakpoints, grids, signal(grids), strict=True)
        ]
        share = np.linspace(0, 1, GRID)
        grids = [np.interp(share, np.linspace(0, 1, len(e)), e) for e in edges]
    rules = [gauss_legendre(e) for e in edges]
    return [nodes for nodes, _ in rules], [weights for _, weights in rules]

"""The Asimov set without bins: quadrature nodes, weighted with the expected density.

A sum over the nodes is the integral that an infinitely finely binned Asimov set would give. The
nodes follow the signal and stop at the edges of holes, so that a few hundred are as good as any
number. These are TensorFlow functions: nodes are placed inside the compiled program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

PANELS = 32
"""Panels of a channel; each breakpoint inside adds one."""

ORDER = 10
"""Gauss-Legendre nodes of a panel."""

_LOOKS = 3
"""How often the signal is looked for, first evenly over the range, then where it was found."""

_GROWTH = 0.5
"""A panel is at most wider than another by this times their distance."""


def nodes_of(breakpoints: int) -> int:
    """Number of nodes of a channel with so many breakpoints, its ends among them."""
    return (PANELS + breakpoints - 2) * ORDER


def quadrature(
    breakpoints: tf.Tensor,
    look: Callable[[tf.Tensor], tuple[Any, tf.Tensor]],
    nothing: Any,
) -> tuple[tf.Tensor, tf.Tensor, Any]:
    """Quadrature nodes and weights of all channels.

    Args:
        breakpoints: where the density of each channel may jump, ascending, shape (channels, k); the
            first and the last are the ends; any may stand there more than once.
        look: nodes, shape (channels, nodes_of(k)), to anything that is to be kept of the last look,
            and the density of the signal, of the same shape as the nodes.
        nothing: what ``look`` keeps, of the same shapes, whatever its values.

    Returns:
        nodes and weights, each of shape (channels, nodes_of(k)), and what ``look`` kept of them.
    """
    share = np.linspace(0, 1, PANELS + 1)
    evenly = breakpoints[:, :1] * (1 - share) + breakpoints[:, -1:] * share
    edges = tf.sort(tf.concat([evenly, breakpoints[:, 1:-1]], 1))
    nodes, widths = gauss_legendre(edges)

    def closer(i: tf.Tensor, nodes: tf.Tensor, widths: tf.Tensor, _: Any) -> tuple[Any, ...]:
        kept, signal = look(nodes)
        # the ends, too, look like the nodes next to them
        grid = tf.concat([breakpoints[:, :1], nodes, breakpoints[:, -1:]], 1)
        signal = tf.concat([signal[:, :1], signal, signal[:, -1:]], 1)
        following = gauss_legendre(panel_edges(breakpoints, grid, signal))
        more = i < _LOOKS
        nodes, widths = (
            tf.where(more, new, old) for new, old in zip(following, (nodes, widths), strict=True)
        )
        return i + 1, nodes, widths, kept

    first = (tf.constant(0), nodes, widths, nothing)
    _, nodes, widths, kept = tf.while_loop(lambda i, *_: i <= _LOOKS, closer, first)
    return nodes, widths, kept


def panel_edges(breakpoints: tf.Tensor, grid: tf.Tensor, signal: tf.Tensor) -> tf.Tensor:
    """Edges of the quadrature panels: narrow where the signal is, ever wider away from it.

    Panels that only followed the signal would be narrow in it and, next to it, as wide as the rest
    of the range: the first of those would lose what is left of the tail.

    Args:
        breakpoints: where the density may jump, ascending, shape (channels, k).
        grid: where the signal is known, ascending, shape (channels, n).
        signal: signal density at the grid, any normalisation.

    Returns:
        Panel edges, ascending, with all breakpoints among them, shape (channels, panels + 1).
    """
    size = tf.abs(signal)
    density = 0.2 * _share(tf.ones_like(grid), grid)
    density += 0.4 * _share(tf.sqrt(size), grid) + 0.4 * _share(size, grid)
    width, reach = 1.0 / (PANELS * density), _GROWTH * grid
    # the narrowest of all panels, each wider by its distance, from the left and from the right
    both = tf.stack([width - reach, tf.reverse(width + reach, [1])])
    after, before = tf.unstack(_running_minimum(both))
    widest = tf.minimum(after + reach, tf.reverse(before, [1]) - reach)
    cumulative = tf.cumsum(_cells(1.0 / widest, grid), axis=1)
    cumulative = tf.concat([0.0 * grid[:, :1], cumulative], 1)
    wanted = cumulative[:, -1:] * (np.arange(1, PANELS) / PANELS)
    inner = _interpolate(wanted, cumulative, grid)
    return tf.sort(tf.concat([inner, breakpoints], 1))


def gauss_legendre(edges: tf.Tensor, order: int = ORDER) -> tuple[tf.Tensor, tf.Tensor]:
    """Nodes and weights of a Gauss-Legendre rule on every panel.

    Args:
        edges: panel edges, ascending, shape (..., panels + 1).
        order: nodes of a panel.

    Returns:
        nodes and weights, each of shape (..., panels * order), ascending.
    """
    abscissae, weights = np.polynomial.legendre.leggauss(order)
    half = 0.5 * (edges[..., 1:] - edges[..., :-1])[..., None]
    middle = 0.5 * (edges[..., 1:] + edges[..., :-1])[..., None]
    flat = [*edges.shape[:-1], -1]
    return tf.reshape(middle + half * abscissae, flat), tf.reshape(half * weights, flat)


def _share(weight: tf.Tensor, grid: tf.Tensor) -> tf.Tensor:
    """A weight with integral one over the grid; evenly one if there is none."""
    total = tf.reduce_sum(_cells(weight, grid), 1, keepdims=True)
    evenly = tf.ones_like(grid) / (grid[:, -1:] - grid[:, :1])
    return tf.where(total > 0, weight / tf.where(total > 0, total, 1.0), evenly)


def _cells(density: tf.Tensor, grid: tf.Tensor) -> tf.Tensor:
    """Integrals between the points of a grid."""
    return 0.5 * (density[:, 1:] + density[:, :-1]) * (grid[:, 1:] - grid[:, :-1])


def _running_minimum(values: tf.Tensor) -> tf.Tensor:
    """The smallest of all values up to each, along the last axis."""
    reach, size = 1, values.shape[-1]
    while reach < size:
        earlier = tf.gather(values, np.maximum(np.arange(size) - reach, 0), axis=-1)
        values, reach = tf.minimum(values, earlier), 2 * reach
    return values


def _interpolate(x: tf.Tensor, known: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Values at x between known points, which ascend; all of shape (channels, some)."""
    right = tf.reduce_sum(tf.cast(known[:, None, :] <= x[:, :, None], tf.int32), 2)
    right = tf.clip_by_value(right, 1, known.shape[1] - 1)
    low, high = (tf.gather(known, i, batch_dims=1) for i in (right - 1, right))
    share = (x - low) / tf.where(high > low, high - low, 1.0)
    left_value, right_value = (tf.gather(values, i, batch_dims=1) for i in (right - 1, right))
    return left_value * (1 - share) + right_value * share

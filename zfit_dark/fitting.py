"""One fit of a ``Likelihood``, in the form that ``zfit_dark.plot.fit`` draws."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np

from zfit_dark.asimov import gauss_legendre
from zfit_dark.channel import Channel
from zfit_dark.goodness import judge
from zfit_dark.hypotheses import fitted, profiled
from zfit_dark.likelihood import BLIND_HALF_WIDTH, Likelihood
from zfit_dark.limits import alternatives, several_backgrounds
from zfit_dark.newton import FloatArray
from zfit_dark.profile import compiled
from zfit_dark.results import ChannelFit, Fit

BINS = 60
"""Bins of a channel's fit window in a plot."""

_CURVE = 6
"""Points of the drawn curve a bin, Gauss-Legendre nodes."""


def fit(
    likelihood: Likelihood,
    mass: float,
    *,
    blind: bool = False,
    poi_label: str = "",
    poi_unit: str = "",
    pseudo_data: bool = False,
    goodness_toys: int = 0,
) -> Fit:
    """Fit a hypothesis in all channels.

    Args:
        likelihood: the model; it is moved to the mass.
        mass: the hypothesis, in GeV.
        blind: fit the background to the sidebands alone, and show nothing of the signal region.
        poi_label: the parameter of interest as a plot names it; its own name if not given.
        poi_unit: its unit.
        pseudo_data: whether the candidates are not real.
        goodness_toys: toys that tell the goodness of the fit, see ``goodness_of_fit``; 0 for none.
            That of a blind fit is how well the background describes the sidebands.

    Returns:
        Data, fitted counts and curves of every channel, and the best fit of the signal.

    Raises:
        InputError: if the mass cannot be a hypothesis, or the number of toys is negative.
    """
    likelihood.move_to(mass)
    loss, poi = compiled(likelihood.loss), likelihood.poi
    with likelihood.signal_region_hidden() if blind else nullcontext():
        data = loss.observed()
    backgrounds = alternatives(loss, several_backgrounds(likelihood), loss.values())
    held = None
    if backgrounds:
        found, *best = profiled(loss, data, backgrounds, data.setting, poi, blind=blind)
        held = best[int(blind)].held
    else:
        found = fitted(loss, data, loss.values(), poi, at_zero_only=blind)
    row = int(blind)  # the fit without signal, or the free one
    theta, converged = found.fits.theta[row], bool(found.fits.converged[row])
    poi_hat = poi_error = np.nan
    if not blind:
        poi_hat, poi_error = float(theta[loss.index(poi)]), found.poi_error
    warnings: tuple[str, ...] = ()
    if not converged:
        warnings = ("the fit did not converge",)
    goodness = None
    if goodness_toys:
        goodness = judge(
            loss,
            data,
            found.fits.theta[1],
            poi,
            toys=goodness_toys,
            with_signal=not blind,
            pseudo_data=pseudo_data,
            held=held,
        )
    background = theta.copy()
    background[loss.index(poi)] = 0.0
    edges = [_edges(channel, mass) for channel in likelihood.channels]
    totals, smooth = (
        [
            e.density
            for e in loss.densities(at, [gauss_legendre(e, _CURVE)[0].numpy() for e in edges])
        ]
        for at in (theta, background)
    )
    return Fit(
        mass=mass,
        poi_label=poi_label or poi.name,
        poi_unit=poi_unit,
        poi_hat=poi_hat,
        poi_error=poi_error,
        channels=tuple(
            _channel_fit(channel, mass, e, curves, BLIND_HALF_WIDTH if blind else 0.0)
            for channel, e, *curves in zip(likelihood.channels, edges, totals, smooth, strict=True)
        ),
        valid=converged,
        warnings=warnings,
        pseudo_data=pseudo_data,
        blind=blind,
        goodness=goodness,
    )


def _channel_fit(
    channel: Channel,
    mass: float,
    edges: FloatArray,
    curves: list[FloatArray],
    hidden: float,
) -> ChannelFit:
    total, background = curves
    points, weights = (x.numpy() for x in gauss_legendre(edges, _CURVE))
    counts, _ = np.histogram(channel.fitted(mass, hidden), edges)
    return ChannelFit(
        name=channel.name,
        label=channel.label,
        edges=edges,
        counts=counts.astype(float),
        expected=(total * weights).reshape(-1, _CURVE).sum(axis=1),
        x=points,
        total=total,
        background=background,
        holes=tuple(
            hole
            for hole in channel.not_looked_at(mass)
            if hole[0] < edges[-1] and hole[1] > edges[0]
        ),
        window=(edges[0], edges[-1]),
        hidden=channel.around(mass, hidden) if hidden else None,
    )


def _edges(channel: Channel, mass: float) -> FloatArray:
    """Bin edges over the fit window; those of holes stand in the place of any close to them."""
    low, high = channel.window_at(mass)
    edges = np.linspace(low, high, BINS + 1)
    holes = [
        edge
        for low_edge, high_edge, _ in channel.not_looked_at(mass)
        for edge in (low_edge, high_edge)
    ]
    inside = np.array([edge for edge in holes if low < edge < high])
    close = np.abs(edges[:, None] - inside) < 0.5 * (edges[1] - edges[0])
    kept = ~close.any(axis=1)
    kept[[0, -1]] = True
    return np.unique(np.concatenate([edges[kept], inside]))

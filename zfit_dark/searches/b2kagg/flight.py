"""The peak of an a that flies towards the calorimeter before it decays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
import zfit
from scipy.interpolate import PchipInterpolator

from zfit_dark.pdf._closed_form import ClosedFormPDF
from zfit_dark.pdf.crystal_ball import double_cb_integral, double_cb_shape
from zfit_dark.searches.b2kagg.signal import FLIGHT, NUMBERS, RESOLUTION
from zfit_dark.signal_shape import SignalShape, interpolated
from zfit_dark.theory import decay_length
from zfit_dark.theory.flavour import kinematic_end


def _rule(n: int) -> tuple[Any, Any]:
    """Nodes and weights of Gauss and Legendre between 0 and 1."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2


# A distance of 0 to 26 sigma is looked at closely, since no fit window reaches farther.
_PANELS = ((0.0, 6.0, 8), (6.0, 26.0, 24))
_FAR = 4
_FLIGHTS, _SHARES = _rule(3)
_MASSES = 60
"""In the table of momenta."""


class FlownPeak(ClosedFormPDF):
    r"""A double-sided Crystal Ball ⊗ the loss of mass of a particle that flew before it decayed.

    The loss δ, 0 < δ < μ, is exponential with a mean that is spread evenly between two values:

    .. math:: f(x) = \int_0^\mu d\delta\, \mathrm{DCB}(x - \mu + \delta)
        \left\langle e^{-\delta/s}/s \right\rangle_{s_1 < s < s_2}

    It is a sum over nodes in δ, good to 0.4 % of the peak down to 20 σ below it; farther down,
    where no fit window is, only the number of events is right.

    Args:
        mu: where the peak of a prompt particle is.
        sigma: its width; the tails are those of `pdf.DoubleCB`.
        alphal: start of the left tail.
        nl: its power.
        alphar: start of the right tail.
        nr: its power.
        least: mean loss of the slowest particles, s₁, positive.
        most: mean loss of the fastest ones, s₂.
        obs: the observable.
        extended: yield.
        norm: normalisation range.
        name: name of the PDF.
        label: name for humans.
    """

    def __init__(
        self,
        mu: Any,
        sigma: Any,
        alphal: Any,
        nl: Any,
        alphar: Any,
        nr: Any,
        least: Any,
        most: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str = "FlownPeak",
        label: str | None = None,
    ) -> None:
        shape = {"alphal": alphal, "nl": nl, "alphar": alphar, "nr": nr}
        params = {"mu": mu, "sigma": sigma, **shape, "least": least, "most": most}
        super().__init__(
            obs=obs, params=params, extended=extended, norm=norm, name=name, label=label
        )

    @staticmethod
    def _shape(x: Any, mu: Any, sigma: Any, least: Any, most: Any, **tails: Any) -> tf.Tensor:
        losses, weights = _losses(mu, sigma, least, most)
        peaks = double_cb_shape(tf.expand_dims(x, -1), mu - losses, sigma, **tails)
        return tf.reduce_sum(weights * peaks, axis=-1)

    @staticmethod
    def _integral(
        lower: Any, upper: Any, mu: Any, sigma: Any, least: Any, most: Any, **tails: Any
    ) -> tf.Tensor:
        losses, weights = _losses(mu, sigma, least, most)
        start, stop = tf.expand_dims(lower, -1), tf.expand_dims(upper, -1)
        inside = double_cb_integral(start, stop, mu - losses, sigma, **tails)
        return tf.reduce_sum(weights * inside, axis=-1)


def _losses(mu: Any, sigma: Any, least: Any, most: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Nodes in the loss of mass, and their weights, which add up to 1.

    In each panel the nodes are spread as an exponential of the longest mean asks for, so that its
    weight is smooth, whether that mean is far below or far above the width of the panel.
    """
    edges = [tf.minimum(reach * sigma, mu) for _, reach, _ in _PANELS]
    panels = zip([tf.zeros_like(mu), *edges], [*edges, mu], strict=True)
    nodes, weights = [], []
    for (start, stop), n in zip(panels, [*(n for *_, n in _PANELS), _FAR], strict=True):
        u, w = _rule(n)
        inside = -tf.math.expm1(-(stop - start) / most)
        nodes.append(start - most * tf.math.log1p(-u * inside))
        weights.append(w * inside * tf.exp(-start / most))
    losses, weight = tf.concat(nodes, 0), tf.concat(weights, 0)
    means = least + (most - least) * _FLIGHTS
    slower = (1 / means - 1 / most) * losses[:, None]
    weight = weight * tf.reduce_sum(_SHARES * most / means * tf.exp(-slower), axis=-1)
    return losses, weight / tf.reduce_sum(weight)


@dataclass(frozen=True, eq=False, kw_only=True)
class FlightShape(SignalShape):
    """The resolution, and how far an a of a mode flies.

    Args:
        mode: The mode.
        ctau: Proper decay length in cm, a zfit parameter.
    """

    mode: str
    ctau: Any

    def pdf(self, mass: Any, obs: Any, extended: Any = None, *, name: str = "signal") -> Any:
        """The signal as a zfit PDF; see `SignalShape.pdf`."""
        columns = {
            column: self.composed(mass, column, name=f"{name}_{column}") for column in self.table
        }
        losses = {
            which: zfit.ComposedParameter(
                f"{name}_{which}_loss",
                lambda p, curve=curve: p["ctau"] * interpolated(curve, p["mass"]),
                params={"mass": mass, "ctau": self.ctau},
                unpack_params=False,
            )
            for which, curve in zip(("least", "most"), _losses_per_cm(self.mode), strict=True)
        }
        return FlownPeak(mu=mass, **columns, **losses, obs=obs, extended=extended, name=name)


def flown(mode: str, ctau: Any) -> FlightShape:
    """The peak of a mode, for a proper decay length in cm that a zfit parameter holds."""
    shape = RESOLUTION
    return FlightShape(shape.masses, shape.table, shape.source, shape.status, mode=mode, ctau=ctau)


@lru_cache
def _losses_per_cm(mode: str) -> tuple[PchipInterpolator, PchipInterpolator]:
    """Mean loss of mass of the slowest and the fastest a, in GeV for a cτ of 1 cm, against mass.

    A particle of momentum p flies p cτ/m, and loses m/R of its mass a length. The momenta are
    spread evenly between limits that have the mean and the width of the true ones.
    """
    masses = RESOLUTION.masses[0] + np.ptp(RESOLUTION.masses) * np.linspace(0, 1, _MASSES)
    end = kinematic_end(mode, inputs=FLIGHT)
    mean, width = decay_length.laboratory_momentum(
        mode, np.minimum(masses, (1 - 1e-6) * end), inputs=FLIGHT
    )
    distance = NUMBERS.flight.calorimeter.value
    low, high = mean - np.sqrt(3) * width, mean + np.sqrt(3) * width
    return PchipInterpolator(masses, low / distance), PchipInterpolator(masses, high / distance)

"""The shape of a signal against the mass of the particle."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
import zfit
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from zfit_dark.errors import InputError
from zfit_dark.newton import FloatArray
from zfit_dark.pdf import CrystalBall, DoubleCB, Novosibirsk, Template, Voigt
from zfit_dark.pdf.template import quantiles
from zfit_dark.profile import CompiledLoss
from zfit_dark.reading import read_yaml

_TAILS: dict[frozenset[str], Any] = {
    frozenset(): zfit.pdf.Gauss,
    frozenset({"alpha", "n"}): CrystalBall,
    frozenset({"alphal", "nl", "alphar", "nr"}): DoubleCB,
    frozenset({"lambd"}): Novosibirsk,
    frozenset({"gamma"}): lambda mu, **shape: Voigt(m=mu, **shape),
}
_ONE_SIGMA = np.array([0.158655253931457, 0.5, 0.841344746068543])
"""Probabilities below -1, 0 and 1 standard deviation of a Gaussian."""
_STATUS = ("read", "derived", "assumed")


@dataclass(frozen=True, eq=False)
class SignalShape:
    """A table of shape parameters against mass, interpolated with monotone cubics (PCHIP).

    Which parameters the table holds decides on the PDF: ``sigma`` alone is a Gaussian; with
    ``alpha`` and ``n`` a Crystal Ball; with ``alphal``, ``nl``, ``alphar`` and ``nr`` one with two
    tails; with ``lambd`` it is a Novosibirsk function, with ``gamma`` a Voigt profile. ``shift`` is
    the distance of the peak from the mass, 0 if not given. Between the masses the table is
    interpolated; outside it nothing is said. A shape can also be that of histograms, see
    ``from_histograms``.

    Args:
        masses: ascending, at least two, in GeV.
        table: parameter name to its values, each of the length of ``masses``; sigma and shift in
            GeV.
        source: where the numbers come from.
        status: "read", "derived" or "assumed".
        histograms: if the shape is theirs, one at each mass; the table then only says how wide
            they are, and where.

    Raises:
        InputError: if the table is not of this form.

    >>> table = {"sigma": [0.008, 0.010]}
    >>> shape = SignalShape([0.2, 1.0], table, source="example", status="assumed")
    >>> round(shape.sigma(0.6), 6)
    0.009
    """

    masses: FloatArray
    table: Mapping[str, FloatArray]
    source: str
    status: str
    histograms: tuple[Any, ...] = field(default=(), kw_only=True)
    _curves: Mapping[str, PchipInterpolator] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        masses = np.asarray(self.masses, float)
        table = {name: np.asarray(values, float) for name, values in self.table.items()}
        where = f"signal shape ({self.source})"
        ascending = (
            masses.ndim == 1 and np.isfinite(masses).all() and (masses[1:] > masses[:-1]).all()
        )
        if not ascending or masses.size < 2:
            raise InputError(f"{where}: give at least two masses in ascending order")
        if "sigma" not in table:
            raise InputError(f"{where}: the table has no column 'sigma'")
        if frozenset(table) - {"sigma", "shift"} not in _TAILS:
            raise InputError(
                f"{where}: columns {sorted(table)} are no known shape; besides sigma and shift "
                "give none, or alpha and n, or alphal, nl, alphar and nr, "
                "or lambd, or gamma"
            )
        for name, values in table.items():
            if values.shape != masses.shape or not np.isfinite(values).all():
                raise InputError(f"{where}: column {name!r} needs a finite number for every mass")
            if name not in ("shift", "alpha", "lambd") and (values <= 0).any():
                raise InputError(f"{where}: column {name!r} must be positive")
            if name == "alpha" and np.ptp(np.sign(values)) + (values == 0).any():
                raise InputError(f"{where}: column 'alpha' must not be 0 or change its sign")
        if self.status not in _STATUS:
            raise InputError(f"{where}: status {self.status!r} is not one of {', '.join(_STATUS)}")
        object.__setattr__(self, "masses", masses)
        object.__setattr__(self, "table", table)
        try:
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                curves = {name: PchipInterpolator(masses, row) for name, row in table.items()}
        except FloatingPointError as error:
            raise InputError(f"{where}: numbers too large to be interpolated ({error})") from error
        object.__setattr__(self, "_curves", curves)

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], *, source: str, status: str) -> SignalShape:
        """Read a table with a column ``mass`` and one for each parameter; ``#`` starts a comment.

        Raises:
            InputError: if the file is missing or not such a table.
        """
        try:
            with Path(path).open(encoding="utf-8") as file, warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # of a row that is too long
                frame = pd.read_csv(file, comment="#", skipinitialspace=True, index_col=False)
            if "mass" not in frame:
                raise ValueError(f"no column 'mass'; there are {list(frame)}")
            numbers = frame.astype(float)
        except (OSError, OverflowError, ValueError, pd.errors.ParserWarning) as error:
            raise InputError(f"signal shape {path}: {' '.join(str(error).split())}") from error
        masses = numbers.pop("mass").to_numpy()
        table = {str(name): column.to_numpy() for name, column in numbers.items()}
        return cls(masses, table, source=source, status=status)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> SignalShape:
        """Read ``source``, ``status``, ``mass`` and one list a parameter from a YAML mapping.

        Raises:
            InputError: if the file is missing or not such a mapping.
        """
        try:
            content = read_yaml(Path(path))
        except InputError as error:
            raise InputError(f"signal shape {error}") from error
        return cls.from_mapping(content, where=str(path))

    @classmethod
    def from_mapping(cls, content: Any, *, where: str) -> SignalShape:
        """The same from a mapping that was read already; ``where`` names it in errors."""
        if not isinstance(content, Mapping):
            raise InputError(f"signal shape {where}: not a mapping of names to values")
        missing = {"source", "status", "mass"} - set(content)
        if missing:
            raise InputError(f"signal shape {where}: {', '.join(sorted(missing))} missing")
        source, status = content["source"], content["status"]
        if not isinstance(source, str) or not isinstance(status, str):
            raise InputError(f"signal shape {where}: source and status must be texts")
        columns = {str(k): v for k, v in content.items() if k not in ("source", "status")}
        try:
            table = {name: _listed(values) for name, values in columns.items()}
        except (OverflowError, TypeError, ValueError) as error:
            raise InputError(f"signal shape {where}: not a number: {error}") from error
        return cls(table.pop("mass"), table, source=source, status=status)

    @classmethod
    def from_samples(
        cls,
        samples: Mapping[float, ArrayLike],
        *,
        source: str,
        status: str = "derived",
        window: float = 0.15,
    ) -> SignalShape:
        """Fit a double-sided Crystal Ball to a simulated sample at each mass.

        Args:
            samples: mass to reconstructed masses in GeV.
            source: where the samples come from.
            status: of the numbers that come out.
            window: half width of the fit range, in GeV; at most the mass itself is taken.

        Raises:
            InputError: if there are fewer than two samples, a mass is not positive, or a sample has
                too few events, no width, or a fit that does not converge.
        """
        if len(samples) < 2:
            raise InputError(f"signal shape ({source}): give samples at two masses at least")
        masses = sorted(samples)
        fits = _fit_samples({m: np.asarray(samples[m], float) for m in masses}, window)
        table = {name: np.array([fit[name] for fit in fits]) for name in fits[0]}
        return cls(np.array(masses), table, source=source, status=status)

    @classmethod
    def from_histograms(
        cls, histograms: Mapping[float, Any], *, source: str, status: str = "derived"
    ) -> SignalShape:
        """The shape of histograms, their quantiles interpolated between masses: see ``Template``.

        The resolution is half of what holds the central 68.3 % of a histogram.

        Args:
            histograms: simulated mass to the histogram of the reconstructed one, such as a
                `hist.Hist`, all of its events inside its axis.
            source: where the simulated events come from.
            status: of the shape.

        Raises:
            InputError: if there are fewer than two, or one of them is no histogram of the mass.
        """
        masses = sorted(histograms)
        known = [quantiles(histograms[m], f"histogram at {m:.6g} GeV") for m in masses]
        low, median, high = np.transpose([np.interp(_ONE_SIGMA, *each) for each in known])
        return cls(
            np.array(masses, float),
            {"sigma": 0.5 * (high - low), "shift": median - masses},
            source=source,
            status=status,
            histograms=tuple(histograms[m] for m in masses),
        )

    def parameters(self, mass: float) -> dict[str, float]:
        """All shape parameters at a mass, ``shift`` among them.

        Raises:
            InputError: outside the table.
        """
        self._check_inside(np.asarray(mass, float))
        return {"shift": 0.0} | {name: float(curve(mass)) for name, curve in self._curves.items()}

    def sigma(self, mass: Any) -> Any:
        """Resolution in GeV at one or many masses, of the shape of ``mass``.

        Raises:
            InputError: outside the table.
        """
        mass = np.asarray(mass, float)
        self._check_inside(mass)
        sigma = self._curves["sigma"](mass)
        return float(sigma) if mass.ndim == 0 else sigma

    def pdf(self, mass: Any, obs: Any, extended: Any = None, *, name: str = "signal") -> Any:
        """The signal as a zfit PDF.

        Args:
            mass: a number, or a zfit parameter that the shape then follows; where that leaves the
                table the density is NaN.
            obs: the observable.
            extended: the yield.
            name: starts the names of the PDF and of its parameters.
        """
        if self.histograms:
            known = dict(zip(self.masses, self.histograms, strict=True))
            return Template(mass, known, obs, extended=extended, name=name)
        if not isinstance(mass, zfit.interface.ZfitParameter):
            at = self.parameters(float(mass))
            shape = {"mu": float(mass) + at.pop("shift")} | at
        else:
            shape = {
                column: self.composed(mass, column, name=f"{name}_{column}")
                for column in self.table
                if column != "shift"
            }
            shape["mu"] = mass
            if "shift" in self.table:
                shape["mu"] = zfit.ComposedParameter(
                    f"{name}_mu",
                    lambda params: params["mass"] + self._graph("shift", params["mass"]),
                    params={"mass": mass},
                    unpack_params=False,
                )
        kind = _TAILS[frozenset(self.table) - {"sigma", "shift"}]
        return kind(**shape, obs=obs, extended=extended, name=name)

    def composed(self, mass: Any, column: str, *, name: str) -> Any:
        """A column of the table as a zfit parameter that follows the mass."""
        return zfit.ComposedParameter(
            name,
            lambda params: self._graph(column, params["mass"]),
            params={"mass": mass},
            unpack_params=False,
        )

    def grid(self, low: float, high: float, step: float = 1.0) -> FloatArray:
        """Masses from low to high, each a number of resolutions above the one before.

        Args:
            low: first mass, in GeV.
            high: no mass is above it.
            step: distance in units of the resolution.

        Raises:
            InputError: outside the table, if low is above high, or if the step is not positive.
        """
        if not step > 0:
            raise InputError(f"step={step}: give a positive number of resolutions")
        self._check_inside(np.array([low, high]))
        if low > high:
            raise InputError(f"masses from {low:.6g} to {high:.6g} GeV are no range")
        masses = [low]
        while (following := masses[-1] + step * self.sigma(masses[-1])) <= high:
            masses.append(following)
        return np.array(masses)

    def _graph(self, column: str, mass: Any) -> tf.Tensor:
        return interpolated(self._curves[column], mass)

    def _check_inside(self, mass: FloatArray) -> None:
        outside = ~((mass >= self.masses[0]) & (mass <= self.masses[-1]))
        if outside.any():
            raise InputError(
                f"mass {np.ravel(mass)[np.ravel(outside)][0]:.6g} GeV is outside the signal "
                f"shape's table, {self.masses[0]:.6g} to {self.masses[-1]:.6g} GeV ({self.source})"
            )


def interpolated(curve: PchipInterpolator, x: Any) -> tf.Tensor:
    """A monotone cubic at x as TensorFlow operations; NaN outside its table."""
    x = tf.convert_to_tensor(x, tf.float64)
    piece = tf.reduce_sum(tf.cast(x >= curve.x[1:-1], tf.int32))
    distance = x - tf.gather(tf.constant(curve.x), piece)
    value = tf.zeros_like(x)
    for coefficient in tf.unstack(tf.gather(tf.constant(curve.c), piece, axis=1)):
        value = value * distance + coefficient
    inside = (x >= curve.x[0]) & (x <= curve.x[-1])
    return tf.where(inside, value, np.nan)


def _fit_samples(samples: Mapping[float, FloatArray], window: float) -> list[dict[str, float]]:
    """Shape parameters of simulated samples; one compiled likelihood for each width of range."""
    distances = {mass: _distances(mass, sample, window) for mass, sample in samples.items()}
    most = max(each.size for each in distances.values())
    losses: dict[float, CompiledLoss] = {}
    fits = []
    for mass, sample in distances.items():
        half = min(window, mass)
        if half not in losses:
            losses[half] = _double_cb_loss(half, sample)
            losses[half].reserve([most])
        loss = losses[half]
        names = [parameter.name for parameter in loss.parameters]
        low, median, high = np.quantile(sample, [0.16, 0.5, 0.84])
        begin = dict(zip(names, loss.values(), strict=True))
        begin |= {"shift": median, "sigma": 0.45 * (high - low)}
        start = np.array([list(begin.values())])
        data = loss.sample([sample[:, None]], [np.ones(sample.size)])
        minimum = loss.fit(data, start, np.ones(start.shape, bool))
        if not minimum.converged[0]:
            raise InputError(f"the fit to the simulated sample at {mass:.6g} GeV did not converge")
        fits.append(dict(zip(names, map(float, minimum.theta[0]), strict=True)))
    return fits


def _listed(values: Any) -> FloatArray:
    """A list of numbers as an array; lists of lists are none, however deep."""
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError("give a list of numbers for each column")
    return np.array([float(value) for value in values])


def _distances(mass: float, sample: FloatArray, window: float) -> FloatArray:
    """Distances from the mass of the events of a simulated sample within the window."""
    where = f"simulated sample at {mass:.6g} GeV"
    if not mass > 0:
        raise InputError(f"{where}: the mass must be positive")
    if not np.isfinite(sample).all():
        raise InputError(f"{where} holds NaN or infinite values")
    half = min(window, mass)
    distances = sample[np.abs(sample - mass) <= half] - mass
    if distances.size < 200:
        raise InputError(
            f"{where} has {distances.size} events within {half:.6g} GeV; at least 200 are needed"
        )
    if np.ptp(np.quantile(distances, [0.16, 0.84])) == 0:
        raise InputError(f"{where} has no width: is it rounded?")
    return distances


def _double_cb_loss(half: float, sample: FloatArray) -> CompiledLoss:
    """The likelihood of distances from the mass up to some half width."""
    obs = zfit.Space("distance", -half, half)
    shape = DoubleCB(
        zfit.Parameter("shift", 0.0, -half, half),
        zfit.Parameter("sigma", 0.1 * half, 1e-4 * half, half),
        zfit.Parameter("alphal", 1.3, 0.1, 8.0),
        zfit.Parameter("nl", 5.0, 1.01, 150.0),
        zfit.Parameter("alphar", 1.7, 0.1, 8.0),
        zfit.Parameter("nr", 5.0, 1.01, 150.0),
        obs=obs,
    )
    return CompiledLoss(zfit.loss.UnbinnedNLL(shape, zfit.Data.from_numpy(obs=obs, array=sample)))

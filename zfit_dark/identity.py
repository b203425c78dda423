"""What decides the limits of a scan, as names and plain values that can be compared.

A program cannot compare functions. So the shapes and yields of a model are compared by what they
come to, at parameters a little off where fits start and at the candidates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import zfit

from zfit_dark.channel import Channel
from zfit_dark.frequentist import Toys
from zfit_dark.likelihood import Likelihood
from zfit_dark.newton import FloatArray
from zfit_dark.pdf import Counted, Vetoed
from zfit_dark.profile import CompiledLoss, compiled
from zfit_dark.results import new_provenance
from zfit_dark.results.scan import identity_of

_PROBES = 33
"""Masses that the signal yields of a ``Likelihood`` are compared at."""

_POINTS = 500
"""Most candidates of a channel that its shapes are compared at."""

_OFF = 0.1
"""How far off, relatively, or from 0."""

_TOLD_OTHERWISE = {"name", "label", "data", "masses", "signal", "signal_per_poi", "background"}


def identity(
    model: Any,
    poi: Any,
    level: float,
    method: str,
    test_statistic: str,
    blind: bool,
    toys: Toys,
    provenance: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """All that decides the limits at a mass; not which masses there are, nor who works on them.

    A ``Likelihood`` is moved, to a mass that depends on nothing but the model.

    Args:
        model: a ``Likelihood``, or a zfit loss.
        poi: the parameter of interest.
        level: see ``scan``, as for all that follow.
        method: of the limits.
        test_statistic: of the limits.
        blind: expected limits only.
        toys: how many.
        provenance: of the scan.

    Returns:
        Names to plain JSON values.
    """
    found: dict[str, Any] = {
        "level": level,
        "method": method,
        "test statistic": test_statistic,
        "blind": blind,
        "toys": None if method == "asymptotic" else asdict(toys),
        "parameter of interest": poi.name,
    }
    record = new_provenance()
    found |= {f"version of {name}": version for name, version in record["versions"].items()}
    record |= provenance or {}
    found |= {"search": record["search"], "files": identity_of(record, "inputs")}
    settings = identity_of(record, "settings")
    found |= {f"setting {name}": value for name, value in settings.items()}
    if isinstance(model, Likelihood):
        found |= _of_likelihood(model)
        return found | _of_loss(compiled(model.loss))
    ours = compiled(model)
    data = ours.observed()
    with zfit.run.set_graph_mode(False), _a_little_off(ours):
        for pdf, points, weights in zip(model.model, data.points, data.weights, strict=True):
            found[f"data of {pdf.name}"] = _exactly(points, weights)
            found[f"yields of {pdf.name}"] = _roughly(*_parameters(pdf))
    return found | _of_loss(ours)


def _of_likelihood(model: Likelihood) -> dict[str, Any]:
    """Candidates, signals and settings of the channels."""
    low, high = zip(*(channel.reach for channel in model.channels), strict=True)
    masses = np.linspace(min(low), max(high), _PROBES).tolist()
    open_at = [mass for mass in masses if model.why_not(mass) is None]
    if open_at:
        model.move_to(open_at[len(open_at) // 2])
    found: dict[str, Any] = {}
    for channel in model.channels:
        name = channel.name
        found[f"data of {name}"] = _exactly(channel.candidates)
        yields = np.array([channel.yield_per_poi(mass) for mass in open_at])
        found[f"signal_per_poi of {name}"] = _roughly(yields)
        signal = channel.signal
        table = [column for _, column in sorted(signal.table.items())]
        found[f"signal shape of {name}"] = _exactly(signal.masses, *table)
        found |= _settings_of(channel)
    found["choices of backgrounds"] = [
        [choice.name, float(choice.penalty)] for choice in model.choices
    ]
    return found


def _settings_of(channel: Channel) -> dict[str, str]:
    """What a channel says in plain values."""
    return {
        f"{field.name} of {channel.name}": repr(getattr(channel, field.name))
        for field in fields(channel)  # type: ignore[arg-type]
        if field.name not in _TOLD_OTHERWISE
    }


def _of_loss(ours: CompiledLoss) -> dict[str, Any]:
    """Parameters, constraints and shapes of a loss where it stands."""
    loss, known = ours.loss, ours.constraints
    found: dict[str, Any] = {"kind of loss": type(loss).__name__}
    parameters = sorted(loss.get_params(floating=None), key=lambda parameter: str(parameter.name))
    for p in parameters:
        numbers = [float(p.value()), *(_limit(edge) for edge in (p.lower, p.upper))]
        told = " to ".join(f"{number:.12g}" for number in numbers[1:])
        kind = "floating" if p.floating else "fixed"
        found[f"parameter {p.name}"] = f"{numbers[0]:.12g}, {told}, {kind}"
    found["constraints"] = _roughly(known.observed, known.scatter)
    breakpoints = ours.setting().breakpoints
    with zfit.run.set_graph_mode(False), _a_little_off(ours):
        found["other constraints"] = _roughly(*(np.array(float(c.value())) for c in known.others))
        data = ours.observed()
        for model, points, edges in zip(loss.model, data.points, breakpoints, strict=True):
            shapes = list(_shapes(model, ours.binned, points[:: 1 + len(points) // _POINTS]))
            found[f"model of {model.name}"] = _roughly(edges, *shapes)
    return found


def _limit(edge: Any) -> float:
    return float("nan") if edge is None else float(edge)


def _a_little_off(ours: CompiledLoss) -> Any:
    """Floating parameters a little off where they stand, inside their limits."""
    values = ours.values()
    away = values + _OFF * np.where(values == 0, 1.0, abs(values))
    moved = np.clip(away, ours.lower, ours.upper)
    return zfit.param.set_values(ours.parameters, list(moved))


def _parameters(model: Any) -> Iterator[FloatArray]:
    """Yields and other parameters of a model and of what it is the sum of."""
    for pdf in (model, *getattr(model, "pdfs", ())):
        parameters = [*pdf.params.values(), *([pdf.get_yield()] if pdf.is_extended else [])]
        yield np.array([float(parameter.value()) for parameter in parameters])


def _shapes(model: Any, binned: bool, points: FloatArray) -> Iterator[FloatArray]:
    """Of a model, or of what it is the sum of: expected shares of bins, or densities at points.

    Not of what was cut out of them: breakpoints tell that, without integrals.
    """
    for pdf in getattr(model, "pdfs", None) or (model,):
        while isinstance(pdf, (Counted, Vetoed)):
            pdf = pdf.pdfs[0]
        if binned:
            yield np.asarray(pdf.rel_counts())
        elif len(points):
            data = zfit.Data.from_numpy(obs=pdf.space, array=points, guarantee_limits=True)
            yield np.asarray(pdf.pdf(data, norm=False))


def _exactly(*arrays: FloatArray) -> str:
    """A fingerprint of numbers, to the last bit."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{np.shape(array)}".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _roughly(*arrays: FloatArray) -> str:
    """The same of nine digits: the last ones may be others on another machine."""
    text = "; ".join(",".join(f"{v + 0.0:.9g}" for v in np.ravel(array)) for array in arrays)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

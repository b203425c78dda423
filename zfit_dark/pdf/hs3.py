"""Models as workspaces of the HEP statistics serialisation standard, which RooFit reads.

`zfit.hs3` keeps a model for zfit, all of `zfit_dark.pdf` included. It names distributions in a way
of its own, and no other program reads that. Here the names are those of the standard and of RooFit,
of which there are fewer.

Source: HS3 0.2, https://github.com/hep-statistics-serialization-standard. Distributions that it
lacks are named as in RooFit, ``roofit/hs3/src/RooFitHS3_wsfactoryexpressions.cxx`` (ROOT 6.40).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import metadata
from itertools import chain
from typing import Any

import numpy as np
import zfit

from zfit_dark.errors import InputError
from zfit_dark.pdf._functor import bounds
from zfit_dark.pdf.argus import Argus
from zfit_dark.pdf.crystal_ball import CrystalBall, DoubleCB, GeneralizedCB

__all__ = ["workspace"]

_TAILS = {"alpha_L": "alphal", "n_L": "nl", "alpha_R": "alphar", "n_R": "nr"}
_CRYSTAL_BALL = {"m0": "mu", "sigma": "sigma", "alpha": "alpha", "n": "n"}
_DOUBLE_CB = {"m0": "mu", "sigma_L": "sigma", "sigma_R": "sigma", **_TAILS}
_GENERALIZED_CB = {"m0": "mu", "sigma_L": "sigmal", "sigma_R": "sigmar", **_TAILS}
_NAMES: dict[type, tuple[str, str, dict[str, str]]] = {
    Argus: ("ARGUS_dist", "mass", {"resonance": "m0", "slope": "c", "power": "p"}),
    CrystalBall: ("crystalball_dist", "m", _CRYSTAL_BALL),
    DoubleCB: ("crystalball_doublesided_dist", "m", _DOUBLE_CB),
    GeneralizedCB: ("crystalball_doublesided_dist", "m", _GENERALIZED_CB),
    zfit.pdf.CrystalBall: ("crystalball_dist", "m", _CRYSTAL_BALL),
    zfit.pdf.DoubleCB: ("crystalball_doublesided_dist", "m", _DOUBLE_CB),
    zfit.pdf.GeneralizedCB: ("crystalball_doublesided_dist", "m", _GENERALIZED_CB),
    zfit.pdf.Gauss: ("gaussian_dist", "x", {"mean": "mu", "sigma": "sigma"}),
}
"""Class to type, name of the observable, and names of the parameters with those of the class."""


def workspace(pdf: Any, data: Any = None) -> dict[str, Any]:
    """A model as the standard has it: what ``RooJSONFactoryWSTool`` of RooFit imports.

    Args:
        pdf: a PDF of one observable: CrystalBall, DoubleCB or GeneralizedCB of this package or of
            zfit, Argus, zfit's Gauss, Exponential or Chebyshev, or a sum of them by fractions or
            yields. Parameters keep their names, values and limits, and whether they float.
        data: `zfit.Data` of the observable without weights; none by default.

    Returns:
        Plain values for ``json.dumps``. The model has the name of `pdf`, the data are ``data``. An
        extended PDF that is no sum becomes the only summand of one, ``<name>_extended``.

    Raises:
        InputError: RooFit has no name for a PDF, a PDF is normalised elsewhere than the whole, a
            parameter is composed, a name is there twice or is no identifier, or data have weights.

    Source: see the module.
    """
    if pdf.n_obs != 1:
        raise InputError(f"{pdf.name} has {pdf.n_obs} observables: a workspace takes one")
    low, high = bounds(pdf.norm)
    axis = {"name": pdf.obs[0], "min": low, "max": high}
    parts: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {}
    top = _add(pdf, (low, high), parts, parameters)
    if pdf.is_extended and not isinstance(pdf, zfit.pdf.SumPDF):
        top = {"name": f"{pdf.name}_extended", "type": "mixture_dist", "summands": [pdf.name]}
        top |= {"coefficients": [_parameter(pdf.get_yield(), parameters)], "extended": True}
        parts.append(top)
    slopes = [each for each in parts if each["type"] == "exponential_dist"]
    _check_names(chain(parameters, (part["name"] for part in parts), pdf.obs))
    made: dict[str, Any] = {
        "metadata": {
            "hs3_version": "0.2",
            "packages": [{"name": "zfit-dark", "version": metadata.version("zfit-dark")}],
        },
        "distributions": parts,
        # exp(-c x) there, exp(lambda x) in zfit
        "functions": [
            {"name": each["c"], "type": "generic_function", "expression": f"-{each['c'][6:]}"}
            for each in slopes
        ],
        "domains": [
            {
                "name": "default_domain",
                "type": "product_domain",
                "axes": [
                    axis,
                    *(
                        {"name": name, **limits}
                        for name, parameter in parameters.items()
                        if (limits := _range(parameter))
                    ),
                ],
            }
        ],
        "parameter_points": [{"name": "default_values", "parameters": _values(parameters)}],
    }
    if data is not None:
        made["data"] = [_unbinned(data, axis)]
    return made


def _add(
    pdf: Any, limits: tuple[float, float], parts: list[dict[str, Any]], parameters: dict[str, Any]
) -> dict[str, Any]:
    """Add a PDF, and before it what it is made of; what was added for it."""
    if not np.allclose(bounds(pdf.norm), limits, rtol=1e-12, atol=0.0):
        raise InputError(
            f"{pdf.name} is normalised from {bounds(pdf.norm)[0]:.6g} to {bounds(pdf.norm)[1]:.6g},"
            f" the whole from {limits[0]:.6g} to {limits[1]:.6g}: RooFit has one range"
        )
    part: dict[str, Any] = {"name": pdf.name}
    observable = pdf.obs[0]
    if type(pdf) in _NAMES:
        kind, variable, names = _NAMES[type(pdf)]
        part |= {"type": kind, variable: observable}
        part |= {theirs: _parameter(pdf.params[ours], parameters) for theirs, ours in names.items()}
    elif type(pdf) is zfit.pdf.Exponential:
        slope = _parameter(pdf.params["lambda"], parameters)
        part |= {"type": "exponential_dist", "x": observable, "c": f"minus_{slope}"}
    elif type(pdf) is zfit.pdf.Chebyshev and pdf.apply_scaling:
        first, *others = pdf.params.values()
        if first.floating or float(first.value()) != 1.0 or bounds(pdf.space) != limits:
            raise InputError(f"{pdf.name}: RooFit has 1 as first coefficient, and one range")
        coefficients = [_parameter(each, parameters) for each in others]
        part |= {"type": "chebychev_dist", "x": observable, "coefficients": coefficients}
    elif type(pdf) is zfit.pdf.SumPDF:
        for each in pdf.pdfs:
            _add(each, limits, parts, parameters)
        extended = all(each.is_extended for each in pdf.pdfs)
        shares = [each.get_yield() for each in pdf.pdfs] if extended else pdf.fracs[:-1]
        part |= {"type": "mixture_dist", "summands": [each.name for each in pdf.pdfs]}
        part |= {"coefficients": [_parameter(share, parameters) for share in shares]}
        part |= {"extended": extended}
    else:
        known = sorted({each.__name__ for each in _NAMES} | {"Exponential", "Chebyshev", "SumPDF"})
        raise InputError(
            f"{pdf.name}: {type(pdf).__name__} cannot be written for RooFit, which has names for"
            f" {', '.join(known)}; zfit.hs3.dumps keeps it for zfit"
        )
    parts.append(part)
    return part


def _parameter(parameter: Any, parameters: dict[str, Any]) -> str:
    """The name of a parameter, which is added to the others."""
    if not isinstance(parameter, zfit.Parameter | zfit.param.ConstantParameter):
        raise InputError(
            f"the parameter {parameter.name} is composed of others: a workspace holds none of"
            " these; give the PDF a parameter of its own"
        )
    parameters[parameter.name] = parameter
    return str(parameter.name)


def _range(parameter: Any) -> dict[str, float]:
    """The limits of a parameter, as far as it has any."""
    if not parameter.floating:
        return {}
    limits = {"min": float(parameter.lower), "max": float(parameter.upper)}
    return {name: limit for name, limit in limits.items() if math.isfinite(limit)}


def _values(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "value": float(parameter.value())}
        | ({} if parameter.floating else {"const": True})
        for name, parameter in parameters.items()
    ]


def _check_names(names: Iterable[str]) -> None:
    """The same names for everything, as RooFit makes its objects by them."""
    for name, count in Counter(names).items():
        if count > 1 or not name.isidentifier():
            why = "is there twice" if count > 1 else "is not of letters, digits and underscores"
            raise InputError(f"the name {name!r} {why}: RooFit could not read it, choose another")


def _unbinned(data: Any, axis: dict[str, Any]) -> dict[str, Any]:
    if data.has_weights or data.n_obs != 1:
        raise InputError("a workspace takes data of one observable without weights")
    return {
        "name": "data",
        "type": "unbinned",
        "axes": [axis],
        "entries": data.value().numpy().tolist(),
    }

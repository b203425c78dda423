"""What the scans of the searches have in common."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark import fitting
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.likelihood import Likelihood
from zfit_dark.results import Fit, Scan, new_provenance
from zfit_dark.searches import masses_to_show
from zfit_dark.searches._samples import Sample

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """How limits are to be found; see `zfit_dark.scan`."""

    level: float
    method: str
    blind: bool
    toys: Toys
    global_toys: int = 0
    progress: bool = True
    checkpoint: str | os.PathLike[str] | None = None
    executor: Executor | None = None
    shard: tuple[int, int] | None = None

    def kept_in(self, folder: Path | None, name: str) -> Asked:
        """The same, with a checkpoint of its own in a folder; without one if there is none."""
        return replace(self, checkpoint=None if folder is None else folder / f"{name}.checkpoint")


def provenance(
    search: str,
    sample: Sample,
    asked: Asked,
    modes: Sequence[str],
    model: str | None,
    ctau: float | None,
    **settings: Any,
) -> dict[str, Any]:
    """Where limits against lifetime come from.

    Args:
        search: Name of the search.
        sample: The candidates.
        asked: How they are found.
        modes: The channels.
        model: What ties them.
        ctau: The lifetime in cm; None for limits that those of all lifetimes are made of.
        settings: What else decides on the limits, plain JSON values.
    """
    made = sample.pseudo_data
    settings = {
        "modes": list(modes),
        "model": model,
        "ctau": ctau,
        **{name: getattr(asked, name) for name in ("level", "method", "blind")},
        "toys": None if asked.method == "asymptotic" else asdict(asked.toys),
        **settings,
        **({} if asked.shard is None else {"shard": list(asked.shard)}),
        **sample.settings,
        "pseudo_data": None if made is None else dict(made),
    }
    return new_provenance(search=search, settings=settings, inputs=sample.inputs)


def at_lifetime(
    found: Scan,
    events: FloatArray,
    ctau: float,
    *,
    poi: str,
    poi_label: str,
    poi_unit: str,
) -> Scan:
    """Limits for a lifetime, of those on something that does not depend on it.

    Args:
        found: The latter.
        events: What their parameter of interest is for one of 1 here, at each mass.
        ctau: The lifetime in cm.
        poi: Name of the parameter of interest here.
        poi_label: The same for a plot.
        poi_unit: Its unit.
    """
    record = dict(found.provenance)
    record["settings"] = {**record["settings"], "ctau": ctau}
    made = found.scaled(1 / events, poi=poi, poi_label=poi_label, poi_unit=poi_unit)
    return replace(made, provenance=record)


def fits_of(made: Likelihood, scan: Scan, count: int, goodness_toys: int) -> list[Fit]:
    """The fits of a model at some masses of a scan; see `masses_to_show`."""
    return [
        fitting.fit(
            made,
            mass,
            blind=scan.blind,
            poi_label=scan.poi_label,
            poi_unit=scan.poi_unit,
            pseudo_data=scan.pseudo_data,
            goodness_toys=goodness_toys,
        )
        for mass in masses_to_show(scan, count)
    ]


def check_poi(scan: Scan, search: str, *known: str) -> None:
    """Refuse a scan of another parameter of interest than the known ones of a search."""
    if scan.poi not in known:
        raise InputError(
            f"a scan of {scan.poi}; give one of {' or '.join(known)}, as {search} makes it"
        )

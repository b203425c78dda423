"""How time, compilation and memory of zfit_dark grow; see README.md.

Every point is a process of its own with one thread: this file, run with ``--measure``.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    RESULTS,
    environment,
    machine,
    markdown_table,
    plot_style,
    reference_jobs,
    resident_mb,
    write,
)

AXES = {
    "events": (1_000, 10_000, 100_000, 1_000_000),
    "channels": (1, 2, 4, 8, 16),
    "nuisances": (0, 1, 5, 10, 20, 50),
}
QUICK = {"events": (1_000, 100_000), "channels": (1, 4), "nuisances": (0, 10)}
STANDARD = {"events": 5_000, "channels": 1, "nuisances": 0}
"""What stays the same while one of them grows; the events are those of each channel."""
SCAN, QUICK_SCAN = 2_000, 200
"""Masses of the long scan."""
TIMED = 11
"""Masses that a point is timed at, after the first one."""
LARGEST_GROWTH = 50.0
"""Megabytes that the memory may grow along the long scan."""
LABELS = {
    "events": "Events of one channel",
    "channels": "Channels of 5000 events",
    "nuisances": "Nuisance parameters, one channel",
    "masses": "Masses of a scan, four channels",
}
QUANTITIES = {
    "first_call_s": ("First call [s]", "#3f90da", "s"),
    "median_ms": ("Time per mass point [ms]", "#bd1f01", "o"),
    "rss_mb": ("Memory [MB]", "#94a4a2", "^"),
}
SIGNAL_UNCERTAINTY = 0.05
_LOW, _HIGH = reference_jobs.LOW, reference_jobs.HIGH
_FIRST_MASS = 0.4925


def model(events: int, channels: int, nuisances: int) -> reference_jobs.Job:
    """Channels that share a signal on a smooth background.

    Args:
        events: of each channel.
        channels: how many; the signal is spread evenly over them.
        nuisances: Gaussian uncertainties of the signal yield, common to all channels.
    """
    import zfit

    import zfit_dark

    rng = np.random.default_rng(1)
    obs = zfit.Space("x", _LOW, _HIGH)
    mass = zfit.Parameter("mass", _FIRST_MASS, floating=False)
    poi = zfit.Parameter("n_sig", 1.0, 0, events * channels)
    thetas = [zfit.Parameter(f"theta{i}", 0.0, -5, 5) for i in range(nuisances)]
    of_each = SIGNAL_UNCERTAINTY / math.sqrt(max(nuisances, 1))

    def signal_events(params: Mapping[str, Any]) -> Any:
        found = params["poi"] / channels
        for theta in thetas:
            found = found * (1 + of_each * params[theta.name])
        return found

    models, data = [], []
    for i in range(channels):
        n_sig = zfit.ComposedParameter(
            f"n_sig{i}",
            signal_events,
            params={"poi": poi, **{theta.name: theta for theta in thetas}},
            unpack_params=False,
        )
        n_bkg = zfit.Parameter(f"n_bkg{i}", float(events), 0, 4.0 * events)
        coefficients = [zfit.Parameter(f"a{k}_{i}", 0.0, -2, 2) for k in (1, 2)]
        models.append(
            zfit.pdf.SumPDF(
                [
                    zfit_dark.pdf.DoubleCB(
                        mass, *reference_jobs.SHAPE.values(), obs=obs, extended=n_sig
                    ),
                    zfit.pdf.Chebyshev(obs, coefficients, extended=n_bkg),
                ]
            )
        )
        data.append(zfit.Data.from_numpy(obs=obs, array=_background(rng, events)))
    constraints = (
        zfit.constraint.GaussianConstraint(
            thetas, observation=[0.0] * nuisances, sigma=[1.0] * nuisances
        )
        if thetas
        else None
    )
    loss = zfit.loss.ExtendedUnbinnedNLL(models, data, constraints=constraints)
    return reference_jobs.Job(loss, poi, mass)


def measure(job: reference_jobs.Job, masses: int) -> dict[str, Any]:
    """Limits at a first mass, which compiles, and then at many.

    Returns:
        Seconds of the first call, milliseconds of the others, memory after the first call, after
        each other one, and whether all limits are valid.
    """
    import zfit_dark

    def limit(mass: float) -> tuple[float, bool]:
        start = time.perf_counter()
        job.mass.set_value(mass)
        found = zfit_dark.upper_limit(job.loss, poi=job.poi)
        return time.perf_counter() - start, found.valid

    before = resident_mb()
    first, valid = limit(_FIRST_MASS)
    after = resident_mb()
    seconds, along = [], []
    for mass in np.linspace(0.35, 0.65, masses):
        took, found = limit(float(mass))
        seconds.append(took)
        along.append(resident_mb())
        valid &= found
    return {
        "first_call_s": first,
        "median_ms": 1e3 * float(np.median(seconds)),
        "slowest_ms": 1e3 * max(seconds),
        "rss_before_mb": before,
        "rss_mb": after,
        "rss_growth_mb": max(along) - after,
        "rss_along_mb": along,
        "valid": valid,
    }


def in_own_process(what: Mapping[str, int]) -> dict[str, Any]:
    """Measure one point; see ``_measure``."""
    print(f"measuring {dict(what)}", file=sys.stderr, flush=True)
    found = subprocess.run(
        [sys.executable, __file__, "--measure", json.dumps(what)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        last = found.stderr.strip().splitlines()[-1:]
        return {**what, "failed": last[0] if last else f"exit code {found.returncode}"}
    return {**what, **json.loads(found.stdout.splitlines()[-1])}


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    parts = [f"Growth on {results['machine']['processor']}, one thread.\n"]
    for axis in AXES:
        header = (axis, "ms / mass", "first call [s]", "RSS [MB]", "growth [MB]", "valid")
        rows = [
            (
                (f"{p[axis]:,}", p["failed"], *[""] * 4)
                if "failed" in p
                else (
                    f"{p[axis]:,}",
                    f"{p['median_ms']:.3g}",
                    f"{p['first_call_s']:.1f}",
                    f"{p['rss_mb']:.0f}",
                    f"{p['rss_growth_mb']:+.1f}",
                    "yes" if p["valid"] else "no",
                )
            )
            for p in results[axis]
        ]
        parts.append(f"## {LABELS[axis]}\n\n{markdown_table(header, rows)}")
    scan = results["masses"]
    parts.append(f"## {LABELS['masses']}\n")
    if "failed" in scan:
        parts.append(f"{scan['failed']}\n")
    else:
        rows = [(f"{n:,}", f"{mb:.1f}") for n, mb in _along(scan)]
        parts.append(markdown_table(("masses", "RSS [MB]"), rows))
        parts.append(
            f"{scan['median_ms']:.3g} ms a mass; memory grows by {scan['rss_growth_mb']:.1f} MB "
            f"(at most {LARGEST_GROWTH:.0f} MB).\n"
        )
    return "\n".join(parts)


def plot(results: Mapping[str, Any], path: Path) -> None:
    """Four panels: time, compilation and memory against three sizes; memory along a scan."""
    with plot_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 8), layout="constrained")
        panels = figure.subplots(2, 2).ravel()
        for axes, axis in zip(panels, AXES, strict=False):
            points = [p for p in results[axis] if "failed" not in p]
            x = [p[axis] for p in points]
            for key, (label, color, marker) in QUANTITIES.items():
                axes.plot(x, [p[key] for p in points], marker=marker, color=color, label=label)
            axes.set_yscale("log")
            if axis == "nuisances":
                axes.set_xticks(x)
            else:
                axes.set_xscale("log")
                axes.set_xticks(x, [f"{each:,}" for each in x])
            axes.tick_params(axis="x", which="minor", length=0, labelbottom=False)
            axes.set_xlabel(LABELS[axis])
            axes.set_ylabel("[s], [ms], [MB]")
        low = min(axes.get_ylim()[0] for axes in panels[:3])
        high = max(axes.get_ylim()[1] for axes in panels[:3])
        for axes in panels[:3]:
            axes.set_ylim(low, 5 * high)
        panels[0].legend(loc="upper left")
        if "failed" not in (scan := results["masses"]):
            along = [scan["rss_mb"], *scan["rss_along_mb"]]
            panels[3].plot(range(1, len(along) + 1), along, color=QUANTITIES["rss_mb"][1])
            panels[3].axhline(
                along[0] + LARGEST_GROWTH, color="black", linestyle="--", label="Allowed"
            )
            panels[3].set_xscale("log")
            panels[3].set_ylim(0, 1.3 * max(along))
            panels[3].legend(loc="lower right")
        panels[3].set_xlabel(LABELS["masses"])
        panels[3].set_ylabel("Memory [MB]")
        figure.savefig(path)


def main() -> None:
    """Measure all points, write the results, and fail if a limit does or the memory grows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer points")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measure(**json.loads(options.measure))))
        return

    results: dict[str, Any] = {"machine": machine()}
    for axis, sizes in (QUICK if options.quick else AXES).items():
        results[axis] = [in_own_process({**STANDARD, axis: size}) for size in sizes]
    results["masses"] = in_own_process({"masses": QUICK_SCAN if options.quick else SCAN})
    write(options.output, "growth", results, table(results))
    plot(results, options.output / "growth.png")
    points = [results["masses"], *(p for axis in AXES for p in results[axis])]
    if not all(p.get("valid") for p in points):
        sys.exit("some limits are not valid")
    if results["masses"]["rss_growth_mb"] > LARGEST_GROWTH:
        sys.exit(f"the memory grows by {results['masses']['rss_growth_mb']:.0f} MB along the scan")


def _measure(masses: int = 0, **size: int) -> dict[str, Any]:
    """The long scan of the four-channel job if ``masses`` are given, else a model of a size."""
    if masses:
        return measure(reference_jobs.four_channels(), masses)
    found = measure(model(**size), TIMED)
    del found["rss_along_mb"]
    return found


def _background(rng: np.random.Generator, events: int) -> np.ndarray:
    """Candidates that fall off slowly, by a factor e^0.4 over the range."""
    u, decay = rng.uniform(size=events), _HIGH - _LOW
    return _LOW - np.log1p(u * np.expm1(-decay))


def _along(scan: Mapping[str, Any]) -> Sequence[tuple[int, float]]:
    """Masses done and memory then, at 1, 2, 5, 10, 20, ... and at the end."""
    along = [scan["rss_mb"], *scan["rss_along_mb"]]
    round_numbers = (k * 10**n for n in range(9) for k in (1, 2, 5))
    shown = [n for n in round_numbers if n < len(along)]
    return [(n, along[n - 1]) for n in [*shown, len(along)]]


if __name__ == "__main__":
    main()

"""Limits of empty windows of b2ks over the published ones, against mass, for several lifetimes.

``python benchmarks/published.py FOLDER`` with the folder of the published limits on B+ -> K+ S by
channel, ``bkee`` and ``bkmumu``, a CSV file a lifetime. The efficiency of b2ks is assumed, and made
to follow them; what this shows is how well it does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from common import RESULTS, plot_style

from zfit_dark.searches import b2ks

SHOWN = (0.05, 0.25, 1.0, 10.0, 100.0)
HALF = 8
"""Masses on both sides that a median is taken over: most windows are empty."""


def ratios(folder: Path, final: str, ctau: float) -> tuple[np.ndarray, np.ndarray]:
    """Masses in GeV, and ours over theirs."""
    (file,) = (f for f in folder.iterdir() if float(f.stem) == ctau)
    table = np.loadtxt(file, delimiter=",", skiprows=1)
    masses, limits = table[np.argsort(table[:, 0])].T
    mode = f"Kplus_{final}"
    low, high = b2ks.mass_range(mode)
    inside = np.flatnonzero((masses >= low) & (masses <= high))
    theirs = np.array([np.median(limits[max(i - HALF, 0) : i + HALF + 1]) for i in inside])
    events = [b2ks.signal_events(mode, mass, ctau) for mass in masses[inside].tolist()]
    return masses[inside], -np.log(0.05) / np.array(events) / theirs


def main() -> None:
    """Draw the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the published limits")
    folder = parser.parse_args().folder
    with plot_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 7), layout="constrained")
        for axes, final in zip(figure.subplots(2, sharex=True), ("ee", "mumu"), strict=True):
            for ctau in SHOWN:
                axes.plot(*ratios(folder / f"bk{final}", final, ctau), label=f"{ctau:g} cm")
            axes.axhspan(0.5, 2.0, color="0.9", zorder=0)
            for region in b2ks.NUMBERS.tight_regions:
                if final in region.final_states:
                    axes.axvspan(region.low, region.high, color="#ffa90e", alpha=0.25, linewidth=0)
            axes.set_yscale("log")
            axes.set_ylim(0.1, 10)
            axes.set_ylabel("Ours / published")
            pair = b2ks.NUMBERS.final_states[final].tex
            axes.text(0.02, 0.9, rf"$B^+ \to K^+ S(\to {pair})$", transform=axes.transAxes)
        axes.set_xlabel(r"$m_S$ [GeV]")
        axes.legend(ncols=5, loc="lower left", title=r"Empty window, assumed efficiency; $c\tau$")
        figure.savefig(RESULTS / "published.png")


if __name__ == "__main__":
    main()

"""How often 95 % limits are not below the signal, against the signal, for every method.

The experiment is the simplest one: one count whose background is known. Coverage is a sum over the
counts (``tests/one_count.py``), so that it has no statistical error but that of limits by toys.
With a sideband of the same size it is a sum over both counts, for exact limits. Writes
``coverage.png`` and ``coverage.md`` into ``results/``.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS, markdown_table, plot_style
from one_count import (
    REACH,
    OneCount,
    coverage,
    coverage_with_sideband,
    just_above,
    likely,
    limits_with_sideband,
    up_to,
)
from scipy.stats import poisson

import zfit_dark as zd

METHODS = {"asymptotic": "C1-", "exact": "C0-", "toys": "C3:", "auto": ""}
MANY = {100.0: 60.0, 300.0: 90.0}
"""Backgrounds where auto is asymptotic, and the signals looked at; no toys here."""

SIDEBANDS = {0.5: 8.0, 3.0: 10.0}
"""Backgrounds that a sideband of the same size tells, and the signals looked at."""

LEVEL = 0.95


def limits_of(one: OneCount, b: float, reach: float, method: str) -> list[zd.Limit]:
    """Limits of all counts that matter; toys have a seed for each."""

    def limit(n: int) -> zd.Limit:
        found = one.limit(n, b, level=LEVEL, method=method, toys=zd.Toys(seed=1 + n))
        if not found.valid:
            raise SystemExit(f"{method}, b = {b:g}, n = {n}: {'; '.join(found.warnings)}")
        return found

    return up_to(reach, likely(b), limit)


def smallest(b: float, limits: list[zd.Limit]) -> str:
    """The smallest coverage, and that it may be off by where limits come from toys.

    Coverage just above a limit changes with the limit as the probability of its count.
    """
    observed = np.array([limit.observed for limit in limits])
    where = just_above(observed)
    covered = coverage(where, b, observed, likely(b))
    worst = int(np.argmin(covered))
    text = f"{100 * covered[worst]:.2f}"
    error = limits[worst].observed_error * poisson.pmf(likely(b) + worst, where[worst] + b)
    return text if np.isnan(error) else f"{text} ± {100 * error:.2f}"


def main() -> None:
    """Compute, write, draw."""
    one, rows = OneCount("coverage"), []
    with plot_style():
        figure, grid = plt.subplots(2, 2, figsize=(9.5, 7.2), sharey=True, layout="constrained")
        for axes, (b, reach) in zip(grid.flat, REACH.items(), strict=True):
            rows.append([f"{b:g}"])
            s = np.linspace(0.0, reach, 2000)
            for method, line in METHODS.items():
                limits = limits_of(one, b, reach, method)
                rows[-1].append(smallest(b, limits))
                print(*rows[-1], flush=True)
                if line:
                    observed = [limit.observed for limit in limits]
                    covered = coverage(s, b, observed, likely(b))
                    label = "exact, auto" if method == "exact" else method
                    axes.plot(s, 100 * covered, line, linewidth=1.4, label=label)
            axes.axhline(100 * LEVEL, color="k", linewidth=0.8)
            axes.set(xlim=(0, reach), ylim=(86, 100.5))
            axes.text(0.5, 0.07, f"b = {b:g}", transform=axes.transAxes, ha="center")
        grid[1, 1].legend(loc="lower right", borderaxespad=1.5)
        figure.supxlabel("signal events", x=0.98, ha="right", fontsize=14)
        figure.supylabel("coverage of 95 % CL limits in %", y=0.98, va="top", fontsize=14)
        figure.savefig(RESULTS / "coverage.png", dpi=150)
        plt.close(figure)
    for b, reach in MANY.items():
        found = {m: smallest(b, limits_of(one, b, reach, m)) for m in METHODS if m != "toys"}
        rows.append([f"{b:g}", *(found.get(method, "") for method in METHODS)])
        print(*rows[-1], flush=True)
    for b, reach in SIDEBANDS.items():
        limits = limits_with_sideband(b, 1.0, reach)
        signals = np.concatenate([just_above(each) for each in limits.values()])
        covered = coverage_with_sideband(signals, b, 1.0, limits)
        rows.append([f"{b:g}, sideband", "", f"{100 * covered.min():.2f}", "", ""])
        print(*rows[-1], flush=True)
    (RESULTS / "coverage.md").write_text(markdown_table(["b", *METHODS], rows), encoding="utf-8")


if __name__ == "__main__":
    main()

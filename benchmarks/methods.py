"""Asymptotic limits over exact ones, against the background that competes with the signal.

The experiment is the simplest one: one count whose background is known, exactly or from a sideband
of the same size. Compared is the median limit without a signal. Writes ``methods.png`` and
``methods.md`` into ``results/``.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS, markdown_table, plot_style
from scipy.optimize import brentq
from scipy.stats import norm

from zfit_dark.counting import Count, exact_limit
from zfit_dark.limits import ENOUGH_EVENTS, FEWEST_EVENTS

BACKGROUNDS = (0.1, 0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200)
LEVEL = 0.95


def statistic(n: float, m: float, s: float, b: float | None) -> float:
    """Minus twice the log-likelihood of counts for a signal; of a free background if b is None."""
    tau = 1.0
    if b is None:
        # where the derivative in b is zero: (1 + tau) b^2 + p b - q = 0
        p, q = (1 + tau) * s - n - m, s * m
        b = (-p + np.sqrt(p**2 + 4 * (1 + tau) * q)) / (2 * (1 + tau))
        off = 2 * (tau * b - (m * np.log(tau * b) if m > 0 else 0.0))
    else:
        off = 0.0
    return off + 2 * (s + b - (n * np.log(s + b) if n > 0 else 0.0))


def asymptotic(b: float, sideband: bool) -> float:
    """The asymptotic limit (q-tilde, arXiv:1007.1727) of n = b events."""
    known = None if sideband else b
    # the data are what is expected, so that the fit is that of no signal, and the Asimov set too
    lowest = statistic(b, b, 0.0, known)

    def cls(s: float) -> float:
        q = max(statistic(b, b, s, known) - lowest, 0.0)
        return float(norm.sf(np.sqrt(q)) / norm.sf(0.0))

    return float(brentq(lambda s: np.log(cls(s) / (1 - LEVEL)), 1e-6, 10 + 10 * np.sqrt(b)))


def main() -> None:
    """Compute, write, draw."""
    rows = []
    for b in BACKGROUNDS:
        # n = b for whole numbers, else none or one: the asymptotic limit is that of the median
        known = exact_limit([Count(round(b), 1.0, background=b)], LEVEL)
        row = [b, asymptotic(b, sideband=False), known.expected[2]]
        if b >= 1 and b <= 50:
            off = exact_limit([Count(round(b), 1.0, off=round(b), tau=1.0)], LEVEL)
            row += [asymptotic(b, sideband=True), off.expected[2]]
        else:
            row += [np.nan, np.nan]
        rows.append(row)
        print(*(f"{x:.4g}" for x in row), flush=True)
    b, one, exact_one, off, exact_off = np.array(rows).T
    with plot_style():
        figure, axes = plt.subplots(figsize=(7.0, 4.6), layout="constrained")
        axes.plot(b, one / exact_one, "o-", label="background known")
        # a sideband of the same size doubles the variance of the background
        axes.plot(2 * b, off / exact_off, "s--", label=r"background from a sideband, $\tau = 1$")
        axes.axhline(1.0, color="k", linewidth=0.8)
        for events, text in (
            (FEWEST_EVENTS, "asymptotic: flagged below"),
            (ENOUGH_EVENTS, "auto: asymptotic above"),
        ):
            axes.axvline(events, color="0.5", linestyle=":")
            axes.text(0.96 * events, 0.80, text, rotation=90, ha="right", va="bottom", fontsize=9)
        axes.set(
            xscale="log",
            xlabel="background events that compete with the signal",
            ylabel="asymptotic / exact median limit",
        )
        axes.legend(loc="lower right")
        figure.savefig(RESULTS / "methods.png", dpi=150)
        plt.close(figure)
    header = ["b", "asymptotic", "exact", "asymptotic, sideband", "exact, sideband"]
    lines = [["" if np.isnan(x) else f"{x:.4g}" for x in row] for row in rows]
    (RESULTS / "methods.md").write_text(markdown_table(header, lines), encoding="utf-8")


if __name__ == "__main__":
    main()

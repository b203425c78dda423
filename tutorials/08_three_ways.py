# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # One limit, found in three ways
#
# What is behind `zd.upper_limit`: the same CLs limit by asymptotic formulas, by toys and by exact
# sums, each checked against something that shares no code with it. A counting experiment is small
# enough for all of them. Data are pseudo-data, resolution and mass are assumed.

# %%
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pyhf
from iminuit import Minuit
from scipy.optimize import brentq
from scipy.special import ndtr, xlogy

import zfit_dark as zd
from zfit_dark.counting import Count, cls, exact_limit

MASS, SIGMA, LEVEL = 1.0, 0.01, 0.95

# %% [markdown]
# ## The data, and the model
#
# Candidates in a window of ±2σ around the mass, and beside it from 4σ to 20σ, where they tell how
# many background events there are in the window. The parameter of interest is the number of signal
# events in the whole peak.

# %%
rng = np.random.default_rng(8)
candidates = rng.uniform(0.7, 1.3, 75)
likelihood = zd.Likelihood(
    [
        zd.CountingChannel(
            "counting",
            masses=candidates,
            signal=zd.SignalShape(
                [0.5, 2.0], {"sigma": [SIGMA, SIGMA]}, source="tutorial", status="assumed"
            ),
            window=2,
            sidebands=(4, 20),
            signal_per_poi=1.0,
            limits=(0.7, 1.3),
        )
    ],
    poi="signal",
).move_to(MASS)

# %% [markdown]
# Two numbers of the data are all that the likelihood sees: `n_on` in the window, `n_off` beside it.
# Their expectations are s f_on + b and s f_off + τ b, with f the parts of the peak that are seen
# there and τ = 8 the ratio of the lengths.

# %%
distance = np.abs(candidates - MASS) / SIGMA
n_on, n_off = int(np.sum(distance < 2)), int(np.sum((distance > 4) & (distance < 20)))
f_on, f_off = ndtr(2) - ndtr(-2), 2 * (ndtr(20) - ndtr(4))
tau = (20 - 4) / 2
print(f"{n_on} events in the window, {n_off} beside it: {n_off / tau:.2f} expected")

# %% [markdown]
# ## First way: asymptotic formulas
#
# The test statistic q̃(s) is twice the rise of the negative log-likelihood from its minimum to its
# smallest value at a fixed s, 0 for s below the best fit; a negative best fit counts as 0. Its
# distribution for many events is known (Cowan, Cranmer, Gross, Vitells, arXiv:1007.1727), once the
# Asimov data set, the expectation without a signal, has said how far a background lies from s.

# %%
asymptotic = zd.upper_limit(likelihood, level=LEVEL, method="asymptotic")
print(f"zfit_dark, asymptotic: {asymptotic.observed:.4f} events")

# %% [markdown]
# By hand, that is the following. `profile` fits b at a fixed s, and both if s is None.


# %%
def nll(s: Any, b: Any, on: Any, off: Any) -> Any:
    """Negative log-likelihood of two Poisson counts, without what does not depend on s and b."""
    expected_on, expected_off = s * f_on + b, s * f_off + tau * b
    return expected_on - xlogy(on, expected_on) + expected_off - xlogy(off, expected_off)


def profile(s: float | None, on: float, off: float) -> tuple[float, float, float]:
    """Smallest negative log-likelihood, and the s and b where it is."""
    fit = Minuit(lambda s, b: nll(s, b, on, off), s=s or 0.0, b=off / tau)
    fit.errordef, fit.strategy, fit.tol = Minuit.LIKELIHOOD, 2, 1e-6
    fit.limits["s"], fit.limits["b"] = (0.0, None), (1e-9, None)  # q̃: s is not negative
    fit.fixed["s"] = s is not None
    fit.migrad()
    return float(fit.fval), fit.values["s"], fit.values["b"]


def q_tilde(s: float, on: float, off: float) -> float:
    lowest, best, _ = profile(None, on, off)
    return 2 * max(profile(s, on, off)[0] - lowest, 0.0) if best < s else 0.0


_, _, b0 = profile(0.0, n_on, n_off)


def cls_by_hand(s: float) -> float:
    q, q_asimov = q_tilde(s, n_on, n_off), q_tilde(s, b0, tau * b0)
    root, root_asimov = np.sqrt(q), np.sqrt(q_asimov)
    if q > q_asimov:  # the best fit is at s = 0
        with_signal = ndtr(-(q + q_asimov) / (2 * root_asimov))
        without = ndtr(-(q - q_asimov) / (2 * root_asimov))
    else:
        with_signal, without = ndtr(-root), ndtr(root_asimov - root)
    return float(with_signal / without)


by_hand = brentq(lambda s: cls_by_hand(s) - (1 - LEVEL), 1.0, 30.0)
print(f"by hand:               {by_hand:.4f} events")

# %% [markdown]
# And pyhf, which is another program with the same formulas:

# %%
modifier = [{"name": "b", "type": "normfactor", "data": None}]
signal_modifier = [{"name": "s", "type": "normfactor", "data": None}]
model = pyhf.Model(
    {
        "channels": [
            {
                "name": name,
                "samples": [
                    {"name": "signal", "data": [part], "modifiers": signal_modifier},
                    {"name": "background", "data": [per_b], "modifiers": modifier},
                ],
            }
            for name, part, per_b in (("off", f_off, tau), ("on", f_on, 1.0))
        ],
        "parameters": [
            {"name": "s", "bounds": [[0.0, 60.0]], "inits": [1.0]},
            {"name": "b", "bounds": [[0.0, 60.0]], "inits": [n_off / tau]},
        ],
    },
    poi_name="s",
)
by_pyhf = brentq(
    lambda s: pyhf.infer.hypotest(s, [n_off, n_on], model, test_stat="qtilde") - (1 - LEVEL),
    1.0,
    30.0,
    xtol=1e-4,
)
print(f"pyhf:                  {by_pyhf:.4f} events")

# %% [markdown]
# ## Second way: toys
#
# With a handful of events the distribution of q̃ is not that of many. Toys draw it: pseudo-data with
# signal s and without, each fitted as the data are. The limit carries the statistical error of the
# toys, and more are drawn until it is as small as asked.

# %%
toys = zd.upper_limit(
    likelihood, level=LEVEL, method="toys", toys=zd.Toys(precision=0.02, most=20_000, seed=8)
)
print(f"toys:                  {toys.observed:.3f} ± {toys.observed_error:.3f} events")

# %% [markdown]
# ## Third way: exact sums
#
# Counts are whole numbers, so the probability of every outcome can be written down and summed. This
# is what `method="exact"` does, and what a `Likelihood` that only counts does without being asked.
# From plain numbers it needs no model at all.

# %%
exact = zd.upper_limit(likelihood, level=LEVEL, method="exact")
counts = [Count(on=n_on, per_poi=f_on, off=n_off, tau=tau, off_per_poi=f_off)]
from_counts = exact_limit(counts, level=LEVEL)
print(f"exact:                 {exact.observed:.4f} events")
print(f"exact, from counts:    {from_counts.observed:.4f} events")
print(f"asymptotic formulas are {100 * (asymptotic.observed / exact.observed - 1):+.1f} % off")

# %% [markdown]
# ## CLs against the signal
#
# By hand, toys need q̃ of many counts at once. The best b at a fixed s solves a quadratic equation.


# %%
def best_b(s: Any, on: Any, off: Any) -> Any:
    u, v = s * f_on, s * f_off / tau
    linear = (1 + tau) * (u + v) - on - off
    constant = (1 + tau) * u * v - on * v - off * u
    root = np.sqrt(linear**2 - 4 * (1 + tau) * constant)
    return np.maximum((root - linear) / (2 * (1 + tau)), 0.0)


def q_tildes(s: float, on: Any, off: Any) -> Any:
    best = np.maximum((on - off / tau) / (f_on - f_off / tau), 0.0)
    rise = nll(s, best_b(s, on, off), on, off) - nll(best, best_b(best, on, off), on, off)
    return np.where(best < s, 2 * rise, 0.0)


def part_beyond(s: float, true_s: float) -> float:
    """The part of toys with a signal `true_s` that are no more like a signal s than the data."""
    b = best_b(true_s, n_on, n_off)
    on = rng.poisson(true_s * f_on + b, N_TOYS)
    off = rng.poisson(true_s * f_off + tau * b, N_TOYS)
    return float(np.mean(q_tildes(s, on, off) >= q_tildes(s, n_on, n_off) - 1e-9))


N_TOYS, yields = 20_000, np.linspace(2.0, 11.0, 10)
clsb = np.array([part_beyond(s, s) for s in yields])
clb = np.array([part_beyond(s, 0.0) for s in yields])
error = clsb / clb * np.sqrt((1 - clsb) / (N_TOYS * clsb) + (1 - clb) / (N_TOYS * clb))

# %%
figure, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
fine = np.linspace(1.0, 11.4, 201)
axes.plot(fine, [cls(counts, s) for s in fine], color="tab:green", label="exact")
axes.plot(fine, [cls_by_hand(s) for s in fine], color="black", label="asymptotic, by hand")
axes.errorbar(
    yields,
    clsb / clb,
    yerr=error,
    fmt="s",
    ms=4,
    capsize=3,
    color="tab:blue",
    label="toys, by hand",
)
axes.axhline(1 - LEVEL, color="red", lw=1)
axes.annotate(f"{LEVEL:.0%} CL", (1.1, 1 - LEVEL), (0, 4), textcoords="offset points", color="red")
limits = (
    (exact, 0.0, "tab:green", "D", "exact"),
    (asymptotic, 0.0, "black", "o", "asymptotic"),
    (toys, toys.observed_error, "tab:blue", "s", "toys"),
)
for limit, width, color, marker, name in limits:
    axes.errorbar(
        limit.observed,
        1 - LEVEL,
        xerr=width,
        fmt=marker,
        ms=10,
        mfc="none",
        color=color,
        label=f"limit, {name}: {limit.observed:.2f}",
    )
axes.set(xlabel="signal yield", ylabel="CLs", yscale="log", xlim=(1, 11.4), ylim=(1.5e-3, 1))
axes.set_title("pseudo-data", loc="right")
axes.legend(frameon=False)
figure.savefig("three_ways.png")

# %%
assert asymptotic.valid
assert toys.valid
assert abs(by_hand / asymptotic.observed - 1) < 1e-4
assert abs(by_pyhf / asymptotic.observed - 1) < 1e-3
assert abs(from_counts.observed / exact.observed - 1) < 1e-6
# seeded; four standard deviations
assert abs(toys.observed - exact.observed) < 4 * toys.observed_error
assert asymptotic.observed < exact.observed  # too strong with few events
# seeded; 4.5 standard deviations: once in 15 000 such sets of ten
exact_curve = np.array([cls(counts, s) for s in yields])
assert (np.abs(clsb / clb - exact_curve) < 4.5 * error).all()

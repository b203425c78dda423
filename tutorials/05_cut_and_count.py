# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Cut and count
#
# Two displaced vertices and missing energy: after such a selection hardly any background is left,
# and there is no spectrum to fit. Count the candidates in a window around the mass, and tell the
# background from sidebands. With so few events a limit needs exact sums instead of asymptotic
# formulas. All data are pseudo-data, luminosity × efficiency is assumed.

# %%
import matplotlib.pyplot as plt
import mplhep
import numpy as np
from scipy.optimize import brentq
from scipy.stats import poisson

import zfit_dark as zd
from zfit_dark.counting import Count, exact_limit

plt.style.use([mplhep.style.ROOT, {"font.size": 17}])

# %% [markdown]
# ## The rule of three events
#
# No candidate, no background: at 95 % CL the limit is −ln 0.05 = 3.00 events. For a single count n
# with known background b, CLs = P(N ≤ n | s + b) / P(N ≤ n | b). `exact_limit` is that, and more:
# several channels, backgrounds known from sidebands.

# %%


def by_hand(n: int, b: float) -> float:
    """The limit on s by solving CLs = 0.05."""
    return brentq(lambda s: poisson.cdf(n, s + b) / poisson.cdf(n, b) - 0.05, 0.1, 50.0)


table = {
    (n, b): exact_limit([Count(on=n, per_poi=1.0, background=b)]).observed
    for b in (0.0, 1.0)
    for n in range(4)
}
for b in (0.0, 1.0):
    print(f"b = {b:g}: " + ", ".join(f"{table[n, b]:.2f} (n = {n})" for n in range(4)))

# %% [markdown]
# ## A search
#
# 40 background candidates between 0.6 and 2.4 GeV, and four signal events at 1.52 GeV. The window
# is ±2 resolutions, the sidebands are 4 to 20 resolutions away. The limit is on a cross section;
# one of 1 fb makes 365 fb⁻¹ × 8 % = 29 events.

# %%
rng = np.random.default_rng(5)
shape = zd.SignalShape([0.5, 2.5], {"sigma": [0.0022, 0.0050]}, source="tutorial", status="assumed")
MASS = 1.52
candidates = np.append(rng.uniform(0.6, 2.4, 40), rng.normal(MASS, shape.sigma(MASS), 4))
channel = zd.CountingChannel(
    "mumu",
    masses=candidates,
    signal=shape,
    window=2,
    sidebands=(4, 20),
    signal_per_poi=365 * 0.08,
    limits=(0.6, 2.4),
)
likelihood = zd.Likelihood([channel], poi="sigma")

# %% [markdown]
# ## Blind first
#
# `counting()` tells the counts of a hypothesis. Before the window is opened only its sideband may
# be used: its count, over the ratio τ of the two areas, is the expected background, and with that
# the expected limits do not depend on what is in the window.

# %%
masses = shape.grid(1.40, 1.65)


def blind_limit(mass: float) -> float:
    """The median expected limit, from the sidebands alone."""
    (count,) = likelihood.move_to(mass).counting().counts
    background = count.off / count.tau
    return exact_limit([Count(on=0, per_poi=count.per_poi, background=background)]).expected[2]


expected = np.array([blind_limit(mass) for mass in masses])
print(f"expected limits: {expected.min():.3f} to {expected.max():.3f} fb")

# %% [markdown]
# ## Then open the window
#
# `zd.scan` takes exact sums for a likelihood that only counts; nothing is compiled.

# %%
scan = zd.scan(
    likelihood,
    masses,
    poi_label=r"$\sigma \times \mathcal{B}$",
    poi_unit="fb",
    pseudo_data=True,
    progress=False,
)
figure, (upper, lower) = plt.subplots(
    2, 1, figsize=(10, 10), height_ratios=(3, 1), sharex=True, layout="constrained"
)
zd.plot.brazil(scan, upper, mass_label="")
lower.hist(candidates, np.arange(1.40, 1.65, 0.004), color="0.4")
lower.set(xlabel="Mass [GeV]", ylabel="Candidates / (4 MeV)")
print(scan.summary())
print(scan.how[0])

# %% [markdown]
# Limits of counts move in steps: 3.00 events over the part of the peak in the window, 95.4 %, where
# nothing is counted, and more where there are candidates. The bands collapse onto the lowest step:
# no experiment can see less than nothing.

# %%
here = int(np.argmin(scan.p0))
(count,) = likelihood.move_to(scan.masses[here]).counting().counts
print(f"{scan.masses[here]:.3f} GeV: {count.on} counted, {count.off / count.tau:.2f} expected")
print(f"p0 = {scan.p0[here]:.2g}, anywhere in the scan {scan.global_significance().p0:.2g}")

# %% [markdown]
# ## Why not asymptotic formulas?
#
# Where nothing is counted they give 1.92 events instead of 3.00: half of 1.96², the change of −ln L
# that they ask for. Such a limit excludes signals that are there 15 % of the time, not 5 %. It
# carries a warning. Toys need no formula, take longer, and agree with the sums.

# %%
empty = next(
    mass
    for mass in masses
    if all(c.on + c.off == 0 for c in likelihood.move_to(mass).counting().counts)
)
in_window = likelihood.counting().counts[0].per_poi
methods = {
    method: zd.upper_limit(
        likelihood.move_to(empty), method=method, toys=zd.Toys(precision=0.03, seed=1)
    )
    for method in ("exact", "asymptotic", "toys")
}
for method, limit in methods.items():
    print(f"{method:10s} {limit.observed * in_window:.2f} events; {limit.warnings}")
print(f"an asymptotic limit misses it with {np.exp(-1.92):.0%}")

# %% [markdown]
# ## How well is the efficiency known?
#
# A relative uncertainty u of the signal is a `Nuisance` of the channel. Exact sums average over it:
# each probability is the mean over (1 + u)^θ with a normal θ. For no event in the window this makes
# the limit weaker, by little, as it should.

# %%
uncertain = {
    u: exact_limit([Count(on=0, per_poi=1.0, background=0.0)], uncertainties=[[u]]).observed
    for u in (0.1, 0.3)
}
print(", ".join(f"{limit:.3f} events with {u:.0%}" for u, limit in uncertain.items()))


def averaged(u: float) -> float:
    """The same by hand: the s with a mean of exp(-s (1 + u)^theta) of 0.05."""
    theta = np.linspace(-8, 8, 4001)
    weights = np.exp(-0.5 * theta**2) / np.exp(-0.5 * theta**2).sum()
    return brentq(lambda s: weights @ np.exp(-s * (1 + u) ** theta) - 0.05, 1.0, 10.0)


# %%
for (n, b), limit in table.items():
    assert abs(limit / by_hand(n, b) - 1) < 1e-4
assert abs(table[0, 0.0] + np.log(0.05)) < 1e-4
for u, limit in uncertain.items():
    assert abs(limit / averaged(u) - 1) < 1e-3
# The lowest limit is that of no event, in the 95.45 % of a Gaussian within two resolutions.
assert np.isclose(scan.observed.min() * 365 * 0.08 * 0.9545, 2.996, rtol=1e-3)
# Blind limits are never below it, either, and their band is opened by what the sidebands hold.
assert (expected >= scan.observed.min() * (1 - 1e-3)).all()
# The signal: four events, of which the window sees 95 %, at its mass.
assert abs(scan.masses[here] - MASS) < 2 * shape.sigma(MASS)
assert count.on >= 3
assert scan.p0[here] < 0.01
assert scan.observed[here] > expected[here]
exact, asymptotic, toys = (methods[m].observed * in_window for m in ("exact", "asymptotic", "toys"))
assert abs(exact - 2.996) < 0.01
assert abs(asymptotic - 0.5 * 1.96**2) < 0.03
assert methods["asymptotic"].warnings
assert abs(toys - exact) < 3 * 0.03 * exact + 0.01  # three times their precision

# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A long-lived particle
#
# B⁺ → K⁺ S with S → μ⁺μ⁻ far from the B. Two things are new: the efficiency depends on the lifetime
# of the S, and so does the limit; and in a theory the lifetime is no parameter of its own, the
# coupling sets it along with the rate. What is excluded then is an *interval* of the coupling. All
# data are pseudo-data. The efficiency is assumed, so what is excluded here is nobody's result.

# %%
import matplotlib.pyplot as plt
import mplhep
import numpy as np

import zfit_dark as zd
from zfit_dark.theory import scalar

plt.style.use([mplhep.style.ROOT, {"font.size": 17}])
search = zd.searches.load("b2ks")
CHANNEL = "Kplus_mumu"

# %% [markdown]
# ## Limits against mass and lifetime
#
# The candidates do not know the lifetime that is asked for. So the *number of signal events* is
# limited once a mass, and divided by 2 N_BB f₊₋ ε(m, cτ) for each lifetime: 19 lifetimes cost no
# more than one. Most windows hold few candidates, so the default method "auto" takes toys there.
# They are what takes the time: here for a few masses, and to 10 %.

# %%
sample = search.read(seed=6, modes=[CHANNEL])
print(*sample.report, sep="\n")
masses = [0.22, 0.25, 0.28, 0.32, 0.36, 0.40, 0.45, 0.50, 0.60, 0.70, 0.80, 0.90]
limits = search.scan_lifetimes(
    sample, masses=masses, toys=zd.Toys(precision=0.1, most=4_000), progress=False
)
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.against_lifetime(limits, CHANNEL, [0.25, 0.40, 0.80], ax)
print(limits.summary())

# %% [markdown]
# Short lifetimes are lost to the cut on the displacement, long ones fly out of the tracking
# detector. In between, a limit is three events over what 2 N_BB f₊₋ ε makes of a branching fraction
# of 1, or a little more where there are candidates.

# %%
events = np.array(
    [
        [limits.limits_at(CHANNEL, m)[k] * search.signal_events(CHANNEL, m, ctau) for m in masses]
        for k, ctau in enumerate(limits.lifetimes)
    ]
)  # shape (lifetimes, masses); NaN where a lifetime is not looked at
print("limits in events:", np.nanmax(events, axis=0).round(2))

# %% [markdown]
# ## One mass: two edges
#
# A scalar that mixes with the Higgs boson by an angle θ is made with B(B⁺ → K⁺ S) ∝ θ², and has cτ
# ∝ 1/θ². Draw the prediction, and the limit at the lifetime that the same θ implies. A small θ is
# allowed since too few S are made, and those fly too far; a large θ is allowed since the S decays
# before it counts as displaced.

# %%
MASS = 0.70
theta = np.geomspace(1e-4, 1e-1, 4001)
predicted = scalar.branching_fraction("Kplus", MASS, theta) * scalar.decay_fraction("mumu", MASS)
ctau = scalar.lifetime_ctau_cm(MASS, theta)
of_mass = limits.limits_at(CHANNEL, MASS)
known = np.isfinite(of_mass)
limit = np.exp(
    np.interp(
        np.log(ctau),
        np.log(limits.lifetimes[known]),
        np.log(of_mass[known]),
        left=np.nan,
        right=np.nan,
    )
)
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
ax.loglog(theta, predicted, label="predicted")
ax.loglog(theta, limit, "k-", label=r"95 % CL limit at $c\tau(\theta)$")
ax.fill_between(theta, limit, predicted, where=predicted > limit, alpha=0.3, label="excluded")
ax.set(
    xlabel=r"$\theta$",
    ylabel=r"$\mathcal{B}(B^+ \to K^+ S)\,\mathcal{B}(S \to \mu^+\mu^-)$",
    xlim=(theta[0], theta[-1]),
    ylim=(1e-9, 1e-3),
)
of_theta = ax.secondary_xaxis(
    "top",
    functions=(
        lambda t: scalar.lifetime_ctau_cm(MASS, 1.0) / np.maximum(t, 1e-30) ** 2,
        lambda c: np.sqrt(scalar.lifetime_ctau_cm(MASS, 1.0) / np.maximum(c, 1e-30)),
    ),
)
of_theta.set_xlabel(r"$c\tau$ [cm]")
ax.legend(title=f"Pseudo-data, {MASS} GeV", loc="upper left")
inside = theta[predicted > limit]
print(f"excluded: {inside[0]:.2g} < theta < {inside[-1]:.2g}")

# %% [markdown]
# ## All masses: the plane
#
# `interpret` finds these intervals at all masses. At low masses a large θ makes the S decay within
# 10 µm, the shortest lifetime that was scanned: such an edge is drawn dotted, as nothing is known
# beyond it. At 0.9 GeV, with few decays to muons, no θ is excluded.

# %%
excluded = search.interpret(limits, model="scalar")
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.exclusion(excluded, ax)
print(excluded.summary())

# %% [markdown]
# The same limits say something about other particles: an axion-like one that couples to fermions
# has another rate, another lifetime, and another plane, `model="alp"`. Several channels are
# combined by `scan_lifetimes(..., model="scalar")`, since how they share the signal is theory, and
# for each lifetime by itself, since their relative efficiencies change with it: see [the
# search](../docs/b2ks.md) and [the theory](../docs/theory.md).

# %%
as_alp = search.interpret(limits, model="alp")
print(as_alp.summary())

# %%
assert all(limits.at(CHANNEL, t).valid.all() for t in limits.lifetimes)
# One limit on the events for all lifetimes.
assert np.allclose(np.nanmin(events, axis=0), np.nanmax(events, axis=0), rtol=1e-9)
# Three events at least, but for the 10 % of the toys.
assert (np.nanmin(events, axis=0) > 0.85 * 3.0).all()
# The edges at one mass are where the curves cross: the grid of theta has steps of 0.2 %.
(interval,) = excluded.observed[masses.index(MASS)]
assert np.isclose(interval.low, inside[0], rtol=0.005)
assert np.isclose(interval.high, inside[-1], rtol=0.005)
assert interval.low_is_crossing
assert interval.high_is_crossing
# With a lifetime in between, and a larger rate than the limit: where most is excluded.
middle = np.sqrt(interval.low * interval.high)
assert limits.lifetimes[0] < scalar.lifetime_ctau_cm(MASS, middle) < limits.lifetimes[-1]
# B and 1/ctau go with the square of theta: their product does not depend on it.
assert np.allclose(predicted * ctau, predicted[0] * ctau[0], rtol=1e-9)

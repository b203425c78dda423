# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Four modes, one coupling
#
# B → K a with a → γγ in four kaon modes, K⁺, K⁰_S, K\*⁰ and K\*⁺: each has a spectrum of its own,
# and one coupling g_aW makes the signal in all of them. So there is one parameter of interest, and
# the modes are fitted at once. The search `b2kagg` is part of the package; here are its pieces. All
# data are pseudo-data, and most numbers of the detector are assumed: `print(search.sources())`
# tells which.

# %%
import matplotlib.pyplot as plt
import mplhep
import numpy as np

import zfit_dark as zd
from zfit_dark.theory import alp

plt.style.use([mplhep.style.ROOT, {"font.size": 17}])
search = zd.searches.load("b2kagg")
print(search.TITLE)

# %% [markdown]
# ## Candidates
#
# `read` takes a ROOT file with one tree a mode, or a mapping of mode to masses in GeV. Without
# either it makes pseudo-data. The signal put in has 40 events in the K⁺ mode, and in the others
# what theory says.

# %%
MASS, EVENTS = 3.6, 40.0
sample = search.read(seed=4, inject=[(MASS, EVENTS)])
print(*sample.report, sep="\n")

# %% [markdown]
# ## The model
#
# The parameter of interest is B(B⁺ → K⁺ a). A channel knows how many events one of 1 makes there,
# and its uncertainties. **Uncertainties of the same name are one and the same**: the number of BB̄
# pairs and the photons move all four yields together, the kaons each by itself.

# %%
likelihood = search.likelihood(sample)
print(f"events for B(B+ -> K+ a) = 1e-7 at {MASS} GeV")
for channel in likelihood.channels:
    uncertainties = ", ".join(f"{n.name} {100 * n.uncertainty:g} %" for n in channel.nuisances)
    print(f"{channel.name:8s} {1e-7 * channel.yield_per_poi(MASS):5.1f}   {uncertainties}")

# %% [markdown]
# ## The scan
#
# Compiling the fit of four modes is most of the work; a mass takes a fraction of a second.

# %%
masses = search.masses(low=3.3, high=3.9)
scan = search.scan(sample, masses=masses, level=0.90, progress=False)
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.brazil(scan, ax)
print(scan.summary())

# %% [markdown]
# ## What a single mode would say
#
# `rescaled` is the same model with other signal yields. With none in three of the modes they stay
# in the fit with their background, which tells nothing about the fourth: this is the fit of a
# single mode, on the same parameter, without another program to compile.

# %%
per_poi = {channel.name: channel.signal_per_poi for channel in likelihood.channels}
singles = {}
for mode in search.MODES:
    alone = likelihood.rescaled(dict.fromkeys(per_poi, 0.0) | {mode: per_poi[mode]})
    singles[mode] = zd.scan(alone, masses, level=0.90, progress=False)

figure, ax = plt.subplots(figsize=(10, 6), layout="constrained")
for channel in likelihood.channels:
    ax.plot(masses, singles[channel.name].expected[:, 2], "--", label=channel.label)
ax.plot(masses, scan.expected[:, 2], "k-", linewidth=2, label="all four")
ax.set(
    xlabel="$m_a$ [GeV]",
    ylabel=r"Median expected 90 % CL limit on $\mathcal{B}(B^+ \to K^+ a)$",
    yscale="log",
    ylim=(1e-7, 6e-6),
)
ax.legend(title="Pseudo-data", ncols=3)
gain = singles["Kplus"].expected[:, 2] / scan.expected[:, 2] - 1
print(f"the limit of K+ alone is {100 * gain.min():.0f} to {100 * gain.max():.0f} % weaker")

# %% [markdown]
# If the modes measured B(B⁺ → K⁺ a) independently, the combination would be their mean, weighted
# with 1/σ². They nearly do: the shared uncertainties are small against the statistical ones.

# %%
here = int(np.argmin(np.abs(masses - MASS)))
hats = np.array([each.poi_hat[here] for each in singles.values()])
weights = np.array([each.poi_error[here] for each in singles.values()]) ** -2.0
mean, error = float(hats @ weights / weights.sum()), float(weights.sum() ** -0.5)
for mode, each in singles.items():
    print(
        f"{mode:8s} ({1e7 * each.poi_hat[here]:5.2f} ± {1e7 * each.poi_error[here]:.2f}) × 1e-7, "
        f"{each.significance[here]:.1f} sigma"
    )
print(f"mean     ({1e7 * mean:5.2f} ± {1e7 * error:.2f}) × 1e-7")
print(
    f"fit      ({1e7 * scan.poi_hat[here]:5.2f} ± {1e7 * scan.poi_error[here]:.2f}) × 1e-7, "
    f"{scan.significance[here]:.1f} sigma"
)

# %% [markdown]
# ## Look at the fit
#
# At the most significant mass of the scan. A pull is (n − ν)/√ν with the fitted expectation ν.

# %%
(fit,) = search.fits(sample, scan, count=1)
zd.plot.fit(fit, observable_label=search.OBSERVABLE_LABEL)

# %% [markdown]
# ## The coupling
#
# For an a that decays at once g = √(B / (B/g²)), where B/g² is theory. That a is prompt has to be
# checked with the limit itself: the lifetime follows from the coupling. Here cτ is below a
# millimetre. At lower masses it is not: there `search.scan_lifetimes` and `interpret` solve B(m, g)
# = B_limit(m, cτ(m, g)), see [the search](../docs/b2kagg.md).

# %%
coupling = search.interpret(scan)
ctau = alp.lifetime_ctau_cm(coupling.masses, coupling.observed)
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.brazil(coupling, ax)
print(f"ctau at the limits: {10 * ctau.min():.2f} to {10 * ctau.max():.2f} mm")

# %%
assert scan.valid.all()
shared = set.intersection(*({n.name for n in c.nuisances} for c in likelihood.channels))
assert shared == {"n_bb", "efficiency"}
# Four modes see more than any one of them, but no more than if nothing was shared.
medians = np.array([each.expected[:, 2] for each in singles.values()])
ideal = (medians**-2.0).sum(axis=0) ** -0.5
assert (scan.expected[:, 2] < medians.min(axis=0)).all()
assert (np.abs(scan.expected[:, 2] / ideal - 1) < 0.05).all()
# The fit is the weighted mean but for what is shared (3 %), and for yields that are no Gaussians.
assert abs(scan.poi_hat[here] - mean) < 0.3 * error
assert abs(scan.poi_error[here] / error - 1) < 0.1
# The signal comes back, at its place and in size.
assert abs(scan.masses[np.argmin(scan.p0)] - MASS) < 0.03
events = scan.poi_hat[here] * search.signal_events("Kplus", MASS)
assert abs(events - EVENTS) < 3 * EVENTS * scan.poi_error[here] / scan.poi_hat[here]
assert scan.significance[here] > max(each.significance[here] for each in singles.values())
# The pulls of a good fit have a mean square of 1, within 0.6 for 60 bins (3 standard deviations).
for of_mode in fit.channels:
    pulls = (of_mode.counts - of_mode.expected) / np.sqrt(of_mode.expected)
    assert abs(np.mean(pulls**2) - 1) < 0.6
# B = (B/g^2) g^2, and the a is prompt: it flies less than a resolution's worth of 130 cm.
per_g2 = alp.branching_ratio_per_coupling_squared("Kplus", scan.masses)
assert np.allclose(coupling.observed**2 * per_g2, scan.observed, rtol=1e-6)
assert ctau.max() < 0.1

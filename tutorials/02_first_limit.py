# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A first limit: your zfit model, our signal
#
# You have masses of candidates, a flat numpy array in GeV, and a zfit model of a smooth background.
# How much of a narrow resonance may hide in them? A dozen lines, from the array to the limit;
# everything here is pseudo-data. TensorFlow and zfit write some lines about GPUs and warnings when
# they start: they mean nothing here.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import zfit

import zfit_dark as zd

rng = np.random.default_rng(1)
low, high, mass, sigma = 0.3, 0.7, 0.45, 0.008  # GeV: range, hypothesis, resolution
masses = rng.triangular(low, low, 0.95, 4000)  # <-- your array goes here: np.load("masses.npy")

# %% [markdown]
# All masses, ranges and resolutions are in GeV: divide an array in MeV by 1000. A column of a
# pandas table is made an array with `.to_numpy()`. Cut it to the range yourself: zfit drops events
# outside, and NaN, without a word.

# %%
candidates = masses[(masses > low) & (masses < high)]
print(f"{len(candidates)} of {len(masses)} candidates are in the range")

# %% [markdown]
# ## The limit
#
# The model is plain zfit. Only the signal is ours: a double-sided Crystal Ball with the arguments
# of zfit's own, which stays finite whatever the tails are. Three rules: the mass is a parameter
# that does not float, the signal yield floats and may become negative, and every yield has a start
# value of the right size.

# %%
obs = zfit.Space("mass", low, high)
mu = zfit.Parameter("mu", mass, floating=False)
n_sig = zfit.Parameter("n_sig", 0.0)
n_bkg = zfit.Parameter("n_bkg", len(candidates), lower=0)
slopes = [zfit.Parameter(f"c{i}", 0.0, -2, 2) for i in (1, 2)]

signal = zd.pdf.DoubleCB(mu, sigma, 1.2, 3.0, 1.5, 4.0, obs=obs, extended=n_sig)
background = zfit.pdf.Chebyshev(obs, slopes, extended=n_bkg)
model = zfit.pdf.SumPDF([signal, background])
loss = zfit.loss.ExtendedUnbinnedNLL(model, zfit.Data.from_numpy(obs=obs, array=candidates))

limit = zd.upper_limit(loss, poi=n_sig, level=0.95)
print(f"best fit {limit.poi_hat:.1f} ± {limit.poi_error:.1f} events, p0 = {limit.p0:.3f}")
print(f"observed limit {limit.observed:.1f}, expected {limit.expected[2]:.1f} events")

# %% [markdown]
# The first call for a loss compiles it, which takes ten seconds or so, and more on a busy machine.
# Every other one, whatever the mass or the level, takes milliseconds.

# %%
begin = time.perf_counter()
at_90 = zd.upper_limit(loss, poi=n_sig, level=0.90)
print(f"90 % CL: {at_90.observed:.1f} events, in {1e3 * (time.perf_counter() - begin):.0f} ms")

# %% [markdown]
# ## Can it be right?
#
# If the background were known, the variance of the fitted yield would be 1/∫ s²/b, with the density
# s of the signal and the number b of candidates a GeV, and the median limit 1.96 standard
# deviations. That the background is fitted makes it weaker, here by a tenth or two.

# %%
counts, edges = np.histogram(candidates, 20, (low, high))
centres, spacing = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
points = np.linspace(low, high, 2001)
s, b = signal.pdf(points).numpy(), np.interp(points, centres, counts / spacing)
known_background = 1.96 / np.sqrt(np.sum(s**2 / b) * (points[1] - points[0]))
print(f"expected {limit.expected[2]:.1f}, with a known background {known_background:.1f} events")

# %% [markdown]
# ## Is there anything to be careful about?
#
# `limit.valid` is False if a fit did not converge or a limit was not found: do not use the number.
# `limit.warnings` is empty, or says in words what to know. The one that you will meet is
#
# > asymptotic limit at low counts: about 5 background events compete with the signal, and the true
# > limit is likely weaker; take method='auto'
#
# which takes toys where they are needed, seconds for a limit instead of milliseconds ([which
# method](../docs/methods.md)).

# %%
print(limit.valid, limit.warnings)

# %% [markdown]
# ## At many masses
#
# Give the fixed parameter that the signal is built on. A real scan has steps of the resolution or
# less; see the next tutorial.

# %%
scan = zd.scan(
    loss,
    np.linspace(0.34, 0.66, 65),
    poi=n_sig,
    mass=mu,
    poi_label="Signal yield",
    poi_unit="events",
    pseudo_data=True,
    progress=False,
)
print(scan.summary())
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.brazil(scan, ax, mass_label="Mass [GeV]")
figure.savefig("first_limit.png")

# %% [markdown]
# ## With a signal
#
# Put 150 events in and look again: they are found, and the limit is weaker there. Another data set
# is another loss, which compiles once more.

# %%
with_peak = np.concatenate([candidates, rng.normal(mass, sigma, 150)])
loss_with_peak = zfit.loss.ExtendedUnbinnedNLL(
    model, zfit.Data.from_numpy(obs=obs, array=with_peak)
)
found = zd.upper_limit(loss_with_peak, poi=n_sig, level=0.95)
print(f"best fit {found.poi_hat:.0f} ± {found.poi_error:.0f}, {found.significance:.1f} sigma")
print(f"observed limit {found.observed:.0f}, expected without a signal {found.expected[2]:.0f}")

# %% [markdown]
# That these numbers are right is checked below, for the pseudo-data above; leave this cell out for
# your own.

# %%
for each in (limit, at_90, found):
    assert each.valid
    assert each.warnings == ()
# No signal was put in: the best fit is 0 within 3 standard deviations.
assert abs(limit.poi_hat) < 3 * limit.poi_error
# The estimate above: a fitted background costs sensitivity, but less than a third.
assert 1.0 < limit.expected[2] / known_background < 1.33
# Quantiles of a normal distribution: 1.64 standard deviations at 90 %, 1.96 at 95 %.
assert abs(at_90.expected[2] / limit.expected[2] - 1.645 / 1.960) < 0.02
# One compiled model: the scan and the single limit agree at the mass that they share.
(here,) = np.flatnonzero(np.isclose(scan.masses, mass))
assert np.isclose(scan.observed[here], limit.observed, rtol=1e-4)
assert scan.valid.all()
# The 150 events come back; the Gaussian peak is narrower than the model's by its tails.
assert abs(found.poi_hat - limit.poi_hat - 150) < 3 * found.poi_error
assert found.significance > 4
assert found.observed > found.poi_hat + found.poi_error

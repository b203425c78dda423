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
# You have a zfit model of a mass spectrum, a smooth background, and want to know how much of a
# narrow resonance may hide in it. Everything here is pseudo-data.

# %%
import numpy as np
import zfit

import zfit_dark as zd

rng = np.random.default_rng(1)
low, high, mass, sigma = 0.3, 0.7, 0.45, 0.008
spectrum = rng.triangular(low, low, 0.95, 4000)
candidates = spectrum[spectrum < high]

# %% [markdown]
# The model is plain zfit. Only the signal is ours: a double-sided Crystal Ball with the arguments
# of zfit's own, which stays finite whatever the tails are.

# %%
obs = zfit.Space("mass", low, high)
mu = zfit.Parameter("mu", mass, floating=False)
n_sig = zfit.Parameter("n_sig", 0.0, -200, 1000)
n_bkg = zfit.Parameter("n_bkg", len(candidates), 0, 20_000)
slopes = [zfit.Parameter(f"c{i}", 0.0, -2, 2) for i in (1, 2)]

signal = zd.pdf.DoubleCB(mu, sigma, 1.2, 3.0, 1.5, 4.0, obs=obs, extended=n_sig)
background = zfit.pdf.Chebyshev(obs, slopes, extended=n_bkg)
model = zfit.pdf.SumPDF([signal, background])
loss = zfit.loss.ExtendedUnbinnedNLL(model, zfit.Data.from_numpy(obs=obs, array=candidates))

# %% [markdown]
# One line for the limit. The first call compiles the likelihood, every other one reuses it.

# %%
limit = zd.upper_limit(loss, poi=n_sig, level=0.95)
print(f"best fit {limit.poi_hat:.1f} ± {limit.poi_error:.1f} events, p0 = {limit.p0:.3f}")
print(f"observed limit {limit.observed:.1f}, expected {limit.expected[2]:.1f} events")

# %% [markdown]
# The same at many masses: give the fixed parameter that the signal is built on.

# %%
scan = zd.scan(loss, np.linspace(0.34, 0.66, 21), poi=n_sig, mass=mu, poi_label="Signal yield",
               poi_unit="events", pseudo_data=True, progress=False)  # fmt: skip
print(scan.summary())
axes = zd.plot.brazil(scan, mass_label="Mass [GeV]")
axes.figure.savefig("first_limit.png")

# %% [markdown]
# Now put a signal in and look again: it is found, and the limit is weaker there.

# %%
peak = rng.normal(mass, sigma, 150)
with_signal = zfit.Data.from_numpy(obs=obs, array=np.concatenate([candidates, peak]))
loss_with_signal = zfit.loss.ExtendedUnbinnedNLL(model, with_signal)
found = zd.upper_limit(loss_with_signal, poi=n_sig, level=0.95)
print(f"best fit {found.poi_hat:.0f} ± {found.poi_error:.0f}, {found.significance:.1f} sigma")

# %%
assert limit.valid
assert found.valid
assert limit.warnings == ()
assert limit.expected[0] < limit.expected[2] < limit.expected[4]
assert abs(limit.poi_hat) < 4 * limit.poi_error
assert scan.valid.all()
assert len(scan.masses) == 21
assert abs(found.poi_hat - limit.poi_hat - 150) < 3 * found.poi_error
assert found.significance > 4
assert found.observed > 2 * limit.observed

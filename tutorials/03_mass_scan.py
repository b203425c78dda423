# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A mass scan, from a ROOT file to the Brazil band
#
# One decay mode, B⁺ → K⁺ a with a → γγ: read the candidates, say what the signal looks like, fit
# every mass, and keep the result. All data are pseudo-data, and efficiency and resolution are
# assumed.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mplhep
import numpy as np
import pandas as pd
import zfit

import zfit_dark as zd
from zfit_dark import candidates
from zfit_dark.channel import Veto, bernstein

plt.style.use([mplhep.style.ROOT, {"font.size": 17}])

# %% [markdown]
# ## The file
#
# One TTree (or RNTuple) a mode, one number a candidate in each branch. This one is generated, with
# 50 signal events at 1.2 GeV in it; yours comes from your selection.

# %%
MASS, EVENTS = 1.2, 50
zd.searches.load("b2kagg").generate(3, out="events.root", inject=[(MASS, EVENTS)], modes=["Kplus"])

# %% [markdown]
# The reader cuts and counts. What does not reach the arrays is in the report; what cannot be right,
# a missing branch or masses in MeV, is an error of one line.

# %%
read = candidates.read(
    "events.root", ["Kplus"], limits=(0.6, 1.8), branch="mass", cut="(Mbc > 5.27) & (deltaE < 0.1)"
)
print(*read.report, sep="\n")
masses = read.values["Kplus"]

# %% [markdown]
# ## The model
#
# The resolution is a table against the mass, from simulation (`SignalShape.from_csv`,
# `from_samples`), and says where it comes from. The parameter of interest is the branching
# fraction: a channel tells how many signal events one of 1 would give, 2 N_BB f₊₋ ε, and how well
# this is known.

# %%
shape = zd.SignalShape(
    [0.5, 1.0, 2.0],  # GeV
    {
        "sigma": [0.0086, 0.0100, 0.0126],
        "alphal": [1.10, 1.08, 1.05],
        "nl": [8.0, 7.5, 7.0],
        "alphar": [2.0, 2.0, 2.0],
        "nr": [10.0, 10.0, 10.0],
    },
    source="as the pseudo-data were made",
    status="assumed",
)
events_per_bf = 2 * 772e6 * 0.514 * 0.20
channel = zd.ShapeChannel(
    "Kplus",
    masses,
    limits=(0.6, 1.8),
    signal=shape,
    signal_per_poi=events_per_bf,
    background=bernstein(2),
    window=20,  # resolutions to both sides are fitted
    vetoes=(Veto(0.898, 0.998, r"$\eta' \to \gamma\gamma$"),),
    nuisances=(zd.Nuisance("n_bb", 0.014), zd.Nuisance("efficiency", 0.042)),
)
likelihood = zd.Likelihood([channel], poi="branching_fraction")

# %% [markdown]
# ## The scan
#
# In steps of one resolution, as nothing narrower can be seen. Masses in the veto are not scanned,
# and the result says so.

# %%
scan = zd.scan(
    likelihood,
    shape.grid(0.70, 1.60),
    level=0.90,
    poi_label=r"$\mathcal{B}(B^+ \to K^+ a)$",
    pseudo_data=True,
    progress=False,
)
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.brazil(scan, ax)
print(scan.summary())

# %% [markdown]
# ## Is it significant?
#
# The local p-value asks how often background alone does this *at this mass*. Somewhere in the scan
# is more likely. Gross and Vitells: the p-value of a height Z is that at one mass, plus the number
# of times that the significance is expected to rise above Z along the scan, which follows from how
# often it rises above a low threshold.

# %%
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.p_values(scan, ax)
found = scan.global_significance()
print(f"local  {found.local:.2f} sigma at {found.mass:.3f} GeV, p0 = {found.local_p0:.2g}")
print(f"global {found.significance:.2f} sigma, p0 = {found.p0:.2g} ± {found.p0_error:.1g}")

# %% [markdown]
# The number of rises can also be computed. A fit of a Gaussian peak of width σ looks at the data
# through that Gaussian, so its results are correlated as exp(−Δm²/4σ²), and the significance rises
# above Z (1/2π) √(1/2σ²) exp(−Z²/2) times a GeV (S. O. Rice, 1944).

# %%
resolutions = len(scan.masses)  # one step each
rises = resolutions / (2 * np.pi * np.sqrt(2)) * np.exp(-(found.local**2) / 2)
print(f"global p0 {found.p0:.2g}; computed {found.local_p0 + rises:.2g}")

# %% [markdown]
# ## How strong should the limit be?
#
# With b candidates a GeV under a peak of density s, the fitted yield has the variance b w, w = 1/∫
# s² being the width of the peak: 2√π σ for a Gaussian, more with tails. That a parabola is fitted
# at once, in a window of W = 40 σ, divides it by 1 − 9w/4W. The median 90 % CL limit is 1.64
# standard deviations. What is left, a few per cent, is that the error grows with the signal, and
# windows that are cut by the veto.

# %%
x = np.linspace(MASS - 0.5, MASS + 0.5, 10_001)
s = shape.pdf(MASS, zfit.Space("x", x[0], x[-1])).pdf(x).numpy()
w = 1 / np.sum(s**2 * (x[1] - x[0])) / shape.sigma(MASS)  # in resolutions
sigma = shape.sigma(scan.masses)
low, high = scan.masses - 10 * sigma, scan.masses + 10 * sigma
ordered = np.sort(masses)
per_gev = (np.searchsorted(ordered, high) - np.searchsorted(ordered, low)) / (high - low)
variance = per_gev * w * sigma / (1 - 9 / 4 * w / 40)
ratio = scan.expected[:, 2] / (1.645 * np.sqrt(variance) / events_per_bf)
print(f"w = {w:.2f} resolutions; expected limit over estimate: {np.median(ratio):.2f}")

# %% [markdown]
# ## Keep it
#
# `to_json` keeps everything, and `from_json` gives the same scan back; plots and couplings need no
# fit then. `to_pandas` is the table, `to_csv` writes it. `zd.scan(..., checkpoint="limits")` keeps
# each limit as it is found: a long scan that was interrupted goes on ([long
# scans](../docs/batch.md)).

# %%
with tempfile.TemporaryDirectory() as folder:
    scan.to_json(Path(folder, "scan.json"))
    again = zd.Scan.from_json(Path(folder, "scan.json"))
    scan.to_csv(Path(folder, "scan.csv"))
    table = pd.read_csv(Path(folder, "scan.csv"), comment="#")
columns = ["mass_GeV", "observed", "expected_median", "poi_hat", "significance", "warnings"]
print(table.loc[table["significance"].nlargest(3).index, columns].to_string(index=False))

# %%
top = int(np.argmin(scan.p0))
assert scan.valid.all()
# The signal is found where it was put, and as many events as were put in.
assert abs(scan.masses[top] - MASS) < shape.sigma(MASS)
yield_hat, yield_error = (events_per_bf * x[top] for x in (scan.poi_hat, scan.poi_error))
assert abs(yield_hat - EVENTS) < 3 * yield_error
assert scan.significance[top] > 3
# The veto, 10 resolutions wide, and nothing else is left out.
assert {skipped.reason for skipped in scan.skipped} == {r"vetoed: $\eta' \to \gamma\gamma$"}
assert all(0.898 < skipped.mass < 0.998 for skipped in scan.skipped)
# A search elsewhere costs significance, as much as the number of independent masses says.
assert found.local_p0 < found.p0
assert 0.4 < found.p0 / (found.local_p0 + rises) < 2.5
assert 1.0 < np.median(ratio) < 1.15
# The limit is weakest where the signal is: observed above the +2 sigma band there.
assert scan.observed[top] > scan.expected[top, 4]
assert np.array_equal(again.observed, scan.observed)
assert len(table) == len(scan.masses) + len(scan.skipped)

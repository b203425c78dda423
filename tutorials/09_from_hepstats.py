# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # An upper limit of hepstats, with two lines changed
#
# The example of hepstats' own documentation: ten events of a Gaussian peak over an exponential, a
# CLs upper limit at 95 %. First as it stands there, then with zfit_dark. The data are pseudo-data
# of the same seed.
#
# Source: notebook `upperlimit_asy_zfit` and README of
# [hepstats](https://github.com/scikit-hep/hepstats), © 2019 The Scikit-HEP Project, BSD 3-clause
# licence.

# %%
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import zfit
from hepstats.hypotests import ConfidenceInterval, Discovery, UpperLimit
from hepstats.hypotests.calculators import AsymptoticCalculator
from hepstats.hypotests.parameters import POI, POIarray

# %% [markdown]
# ## As it is
#
# Only what zfit has renamed since is changed: `extended=` in place of `Nsig * Gauss(...)`, `lam` in
# place of `lambda_`.

# %%
bounds = (0.1, 3.0)
np.random.seed(0)  # noqa: NPY002 (as in the original: the same numbers)
tau = -2.0
beta = -1 / tau
data = np.random.exponential(beta, 300)  # noqa: NPY002
peak = np.random.normal(1.2, 0.1, 10)  # noqa: NPY002
data = np.concatenate((data, peak))
data = data[(data > bounds[0]) & (data < bounds[1])]

obs = zfit.Space("x", limits=bounds)
lambda_ = zfit.Parameter("lambda", -2.0, -4.0, -1.0)
Nsig = zfit.Parameter("Nsig", 1.0, -20.0, len(data))
Nbkg = zfit.Parameter("Nbkg", len(data), 0.0, len(data) * 1.1)
signal = zfit.pdf.Gauss(obs=obs, mu=1.2, sigma=0.1, extended=Nsig)
background = zfit.pdf.Exponential(obs=obs, lam=lambda_, extended=Nbkg)
tot_model = zfit.pdf.SumPDF([signal, background])
data_ = zfit.data.Data.from_numpy(obs=obs, array=data)
nll = zfit.loss.ExtendedUnbinnedNLL(model=tot_model, data=data_)
minimizer = zfit.minimize.Minuit()
minimum = minimizer.minimize(loss=nll)

# %% [markdown]
# hepstats fits both hypotheses at each of 20 signal yields. Under numpy 2.4 and later its
# `upperlimit()` then returns `None` for every limit; its p-values are right, so the limit here is
# where the curve through log CLs is at log 0.05.

# %%
started = time.perf_counter()
calculator = AsymptoticCalculator(input=nll, minimizer=minimizer, asimov_bins=100)
poinull = POIarray(Nsig, np.linspace(0.0, 25, 20))
poialt = POI(Nsig, 0)
ul = UpperLimit(calculator, poinull, poialt)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # numpy on a deprecated conversion inside hepstats
    stock_curves = {name: np.asarray(values) for name, values in ul.pvalues(CLs=True).items()}
stock_time = time.perf_counter() - started


def crossing(cls: np.ndarray) -> float:
    """The yield where CLs falls through 0.05, along straight lines in log CLs."""
    return float(np.interp(-np.log(0.05), -np.log(cls), poinull.values))


stock = {name: crossing(cls) for name, cls in stock_curves.items() if name not in ("clsb", "clb")}

# %% [markdown]
# ## With zfit_dark
#
# The loss is the same object. One line in place of the grid, the calculator and the curve; it finds
# CLs = 0.05 itself, so there is no grid that could be too short or too coarse. The first call
# compiles the loss, which for a single limit of so few events costs about what hepstats does; the
# next one is what a limit costs from then on, at any mass and for any data.

# %%
import zfit_dark as zd  # noqa: E402

times = []
for _ in range(2):
    started = time.perf_counter()
    limit = zd.upper_limit(nll, poi=Nsig, level=0.95)
    times.append(time.perf_counter() - started)
first_time, next_time = times
print(f"hepstats:  {stock_time:8.2f} s")
print(f"zfit_dark: {first_time:8.2f} s with compilation, {1e3 * next_time:.1f} ms after it")
print(f"ratio:     {stock_time / first_time:8.1f}  and {stock_time / next_time:.0f} after it")

# %% [markdown]
# Or keep the lines of the script, and exchange the calculator only. Discovery tests and confidence
# intervals of hepstats take it too.

# %%
ours = zd.AsymptoticCalculator(nll)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    dropped_in = UpperLimit(ours, poinull, poialt).upperlimit(alpha=0.05, CLs=True)
    p0, significance = Discovery(ours, POI(Nsig, 0)).result()
    stock_p0, _ = Discovery(calculator, POI(Nsig, 0)).result()
    interval = ConfidenceInterval(ours, POIarray(Nsig, np.linspace(-3, 12, 31))).interval(
        alpha=0.3173
    )

# %% [markdown]
# ## The numbers side by side
#
# `documented` are those of hepstats' README. Their observed limit is that of zfit_dark. The
# expected ones are not, for two reasons:
#
# - `upperlimit()` draws a spline through CLs, not its logarithm, on a grid of 1.3 events. CLs
#   falls exponentially there: the limits for −2, −1 and 0 σ come out 4 to 10 % too large, those for
#   +1 and +2 σ 1 to 6 % too small. Through log CLs, the same 20 points of hepstats give the limits
#   of the column `20 points`.
# - the Asimov set of hepstats has 100 bins over the whole observable. Here a bin is 0.29 σ of the
#   peak, so that is worth 0.1 % only; for a peak of a hundredth of the range it is 10 to 30 %.

# %%
documented = {
    "cls": 15.725784747406346,
    "expected_m2": 6.400549971360598,
    "expected_m1": 8.592750403611896,
    "expected": 11.927442041887158,
    "expected_p1": 16.596396280677116,
    "expected_p2": 22.24864429383046,
}
names = ("cls", "expected_m2", "expected_m1", "expected", "expected_p1", "expected_p2")
new = dict(zip(names, (limit.observed, *limit.expected), strict=True))
columns = ("upper limit", "documented", "20 points", "zfit_dark", "in hepstats")
print(*(f"{column:>12}" for column in columns))
for name in names:
    inside = dropped_in["observed" if name == "cls" else name]
    numbers = (documented[name], stock[name], new[name], inside)
    print(f"{name:>12}", *(f"{number:12.3f}" for number in numbers))
print(f"p0: {p0:.4f}, {significance:.3f} sigma; 68.3 % interval of Nsig: {interval['lower']:.2f}"
      f" to {interval['upper']:.2f}")  # fmt: skip

# %%
figure, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
y = poinull.values
axes.fill_between(
    y,
    stock_curves["expected_m2"],
    stock_curves["expected_p2"],
    color="#ffcc00",
    lw=0,
    label=r"expected $\pm 2\sigma$, hepstats",
)
axes.fill_between(
    y,
    stock_curves["expected_m1"],
    stock_curves["expected_p1"],
    color="#00cc00",
    lw=0,
    label=r"expected $\pm 1\sigma$, hepstats",
)
axes.plot(y, stock_curves["expected"], "--", color="black", label="expected, hepstats")
axes.plot(y, stock_curves["cls"], "o-", color="black", ms=4, label="observed, hepstats")
axes.axhline(0.05, color="red", lw=1)
axes.plot(limit.observed, 0.05, "s", color="tab:blue", ms=9, label="observed, zfit_dark")
axes.errorbar(
    limit.expected[2],
    0.05,
    xerr=[[limit.expected[2] - limit.expected[1]], [limit.expected[3] - limit.expected[2]]],
    fmt="D",
    mfc="white",
    color="tab:blue",
    ms=8,
    capsize=5,
    label=r"expected $\pm 1\sigma$, zfit_dark",
)
axes.set(xlabel="signal yield", ylabel="CLs", yscale="log", ylim=(2e-3, 1.2), xlim=(0, 25))
axes.set_title("pseudo-data", loc="right")
axes.legend(frameon=False)
figure.savefig("from_hepstats.png")

# %%
near = (stock_curves["cls"] > 0.005) & (stock_curves["cls"] < 1)
same = ours.pvalue(poinull, poialt, qtilde=False, onesided=True)
np.testing.assert_allclose(
    np.asarray(same[0])[near], stock_curves["clsb"][near], rtol=2e-3
)  # p-values, point by point
assert abs(limit.observed / stock["cls"] - 1) < 2e-3
assert abs(limit.observed / documented["cls"] - 1) < 2e-3
for name in names[1:]:  # the 100 bins, and straight lines between the points
    assert abs(new[name] / stock[name] - 1) < 0.01
for name in names:
    inside = dropped_in["observed" if name == "cls" else name]
    assert abs(inside / new[name] - 1) < 2e-3
assert documented["expected_m2"] / new["expected_m2"] > 1.05  # the spline
assert abs(p0 / stock_p0 - 1) < 2e-3
errors = minimum.errors(params=[Nsig], method="minuit_minos")[0][Nsig]
best = minimum.params[Nsig]["value"]
assert abs(interval["lower"] - best - errors["lower"]) < 0.05 * abs(errors["lower"])
assert abs(interval["upper"] - best - errors["upper"]) < 0.05 * errors["upper"]

# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The modified mass
#
# A pair x⁺x⁻ has at least the mass 2m. There the spectrum of pairs begins with an edge, and a
# resonance just above it is measured much better than one elsewhere. Both make a search in the mass
# M difficult where it begins. In
#
# $$M' = \sqrt{M^2 - 4m^2}$$
#
# neither happens. M′ is twice the momentum of x in the rest frame of the pair: what the detector
# measures, before a mass is made of it. All data here are pseudo-data.

# %%
import matplotlib.pyplot as plt
import mplhep
import numpy as np
import zfit

import zfit_dark as zd
from zfit_dark import fitting
from zfit_dark.channel import bernstein
from zfit_dark.kinematics import daughter_mass, modified_mass_jacobian, two_body_momentum

plt.style.use([mplhep.style.ROOT, {"font.size": 17}])
m_mu = daughter_mass("mu")
print(f"M = 0.25 GeV: M' = {zd.modified_mass(0.25, 'mu'):.6f} GeV,")
print(f"              2p = {2 * two_body_momentum(0.25, m_mu, m_mu):.6f} GeV")

# %% [markdown]
# ## Pseudo-data
#
# The three components of the relative momentum are measured to 2.5 MeV each. The background is
# phase space, so their density is constant: dN/dM′ ∝ M′², a parabola, and dN/dM = dN/dM′ · M/M′ ∝ M
# √(M² − 4m²), which has an edge at 2m.

# %%
rng = np.random.default_rng(1)
RESOLUTION, HIGHEST = 0.0025, 0.26  # GeV, in M′


def measured(true: np.ndarray) -> np.ndarray:
    """M′ of pairs whose relative momentum is smeared."""
    vectors = np.zeros((len(true), 3))
    vectors[:, 2] = true  # isotropic smearing: the direction does not matter
    return np.linalg.norm(vectors + rng.normal(0.0, RESOLUTION, vectors.shape), axis=1)


background = measured(0.30 * np.cbrt(rng.uniform(size=100_000)))
background = background[background < HIGHEST]
peaks = {
    mass: measured(np.full(20_000, zd.modified_mass(mass, "mu"))) for mass in (0.2135, 0.225, 0.3)
}


def width(values: np.ndarray) -> float:
    """Half of what holds the central 68.3 %."""
    low, high = np.quantile(values, [0.1587, 0.8413])
    return 0.5 * (high - low)


widths = {m: (width(zd.invariant_mass(v, "mu")), width(v)) for m, v in peaks.items()}
for mass, (in_m, in_mprime) in widths.items():
    print(f"{mass:6.4f} GeV: {1e3 * in_m:4.2f} MeV in M, {1e3 * in_mprime:4.2f} MeV in M'")

# %% [markdown]
# The width in M is that in M′ times dM/dM′ = M′/M: it goes to zero at threshold. In M′ every
# resonance has the same width, and a scan the same steps.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5), layout="constrained")
for ax, name, view, start in (
    (left, "$M$", lambda v: zd.invariant_mass(v, "mu"), 2 * m_mu),
    (right, "$M'$", lambda v: v, 0.0),
):
    bins = np.linspace(start, view(HIGHEST), 150)
    ax.hist(view(background), bins, color="0.8", label="Background")
    for mass, values in peaks.items():
        ax.hist(view(values[:2000]), bins, histtype="step", linewidth=1.6, label=f"{mass} GeV")
    ax.set(xlabel=f"{name} [GeV]", ylabel=f"Pairs / ({1e3 * (bins[1] - bins[0]):.2g} MeV)")
    ax.legend(title="Pseudo-data", loc="upper center")

# %% [markdown]
# ## The same fit in M and in M′
#
# There is no signal in the background sample. Look for one at 0.2125 GeV, 1.2 MeV above threshold,
# with the right resolution and a parabola as background, once in M and once in M′. A channel is
# told that it is in M′ by its `daughter`: data, limits and the table of the signal are then in M′,
# the hypothesis stays a mass.

# %%
grid = np.linspace(0.002, 0.30, 150)  # GeV, in M′
masses_of_grid = zd.invariant_mass(grid, "mu")
common = {"signal_per_poi": 1.0, "background": bernstein(2)}  # a limit on signal events
in_m = zd.ShapeChannel(
    "mumu_m",
    zd.invariant_mass(background, "mu"),
    limits=(2 * m_mu, zd.invariant_mass(HIGHEST, "mu")),
    signal=zd.SignalShape(
        masses_of_grid,
        {"sigma": RESOLUTION * grid / masses_of_grid},
        source="tutorial",
        status="assumed",
    ),
    label=r"$\mu^+\mu^-$ in $M$",
    **common,
)
in_mprime = zd.ShapeChannel(
    "mumu_mprime",
    background,
    limits=(0.0, HIGHEST),
    signal=zd.SignalShape(
        [0.0, 0.30], {"sigma": [RESOLUTION, RESOLUTION]}, source="tutorial", status="assumed"
    ),
    daughter="mu",
    label=r"$\mu^+\mu^-$ in $M'$",
    **common,
)

HYPOTHESIS = 0.2125
limits, likelihoods = {}, {}
for channel in (in_m, in_mprime):
    likelihoods[channel.name] = zd.Likelihood([channel], poi=f"n_sig_{channel.name}")
    limit = zd.upper_limit(likelihoods[channel.name].move_to(HYPOTHESIS))
    limits[channel.name] = limit
    print(
        f"{channel.name}: {limit.poi_hat:.1f} ± {limit.poi_error:.1f} events, limit "
        f"{limit.observed:.1f}, expected {limit.expected[2]:.1f}"
    )

# %% [markdown]
# In M a parabola does not begin like a square root. It runs above the data at the edge, and the
# signal has to make up for it: a yield four standard deviations below zero, and a limit outside the
# band, at half of what it should be. That excludes signals that are there. A narrower window or
# more parameters would hide it better, and cost sensitivity. In M′ the fit is right.

# %%
fit = fitting.fit(
    likelihoods["mumu_m"], HYPOTHESIS, poi_label="Signal", poi_unit="events", pseudo_data=True
)
zd.plot.fit(fit, observable_label="$M$ [GeV]")

# %% [markdown]
# ## A scan that begins at threshold
#
# Steps of one resolution are even steps in M′.

# %%
steps = in_mprime.signal.grid(4 * RESOLUTION, 0.25)
scan = zd.scan(
    likelihoods["mumu_mprime"],
    zd.invariant_mass(steps, "mu"),
    poi_label="Signal yield",
    poi_unit="events",
    pseudo_data=True,
    progress=False,
)
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.brazil(scan, ax, mass_label=r"$m$ [GeV]")
print(scan.summary())

# %% [markdown]
# ## A PDF that you have in M
#
# `zd.pdf.ModifiedMass` turns any zfit PDF of M into that of M′. This is a change of variable and
# nothing else: yields stay, and every −ln L changes by the same number, the sum of ln(dM′/dM) over
# the events. A fit finds the same. M′ helps with what is *simple* there, resolution and background.

# %%
obs = zfit.Space("mass", 0.22, 0.30)
mean = zfit.Parameter("mean", 0.25, 0.22, 0.30)
peak_in_m = zfit.pdf.Gauss(mean, 0.0015, obs=obs)
peak_in_mprime = zd.pdf.ModifiedMass(peak_in_m, "mu")  # on the image of obs
events = rng.normal(0.25, 0.0015, 500)
nll = zfit.loss.UnbinnedNLL(peak_in_m, zfit.Data.from_numpy(obs=obs, array=events))
nll_prime = zfit.loss.UnbinnedNLL(
    peak_in_mprime,
    zfit.Data.from_numpy(obs=peak_in_mprime.space, array=zd.modified_mass(events, "mu")),
)
shifts = []
for value in (0.249, 0.251):
    mean.set_value(value)
    shifts.append(float(nll_prime.value(full=True) - nll.value(full=True)))
jacobian = float(np.log(modified_mass_jacobian(events, "mu")).sum())
print(f"-ln L changes by {shifts[0]:.6f} and {shifts[1]:.6f}; sum of ln(dM'/dM) = {jacobian:.6f}")

# %% [markdown]
# ## Rounding at threshold
#
# A mass that is stored in 32 bits is rounded by some eV. At threshold this is not nothing: a pair
# with M′ = 10 keV is stored with a mass *below* 2m, and has no M′. √(M² − 4m²) as it stands makes
# NaN of it, which zfit drops without a word; `zd.modified_mass` refuses it. Store doubles, or cut
# such candidates and count them.

# %%
stored = {x: float(np.float32(zd.invariant_mass(1e-5, x))) for x in ("mu", "pi", "K")}
for daughter, mass in stored.items():
    print(f"{daughter}: {1e9 * (2 * daughter_mass(daughter) - mass):.1f} eV below threshold")
with np.errstate(invalid="ignore"):
    as_it_stands = np.sqrt(stored["mu"] ** 2 - 4 * m_mu**2)
try:
    zd.modified_mass([stored["mu"], 0.25, 0.3], "mu")
except zd.InputError as error:
    refused = str(error)
    print(as_it_stands, "or:", refused)

# %%
# In M′ a width is the resolution, in M it is that times M′/M; 20 000 events tell it to 0.8 %.
for mass, (in_m_width, in_mprime_width) in widths.items():
    assert abs(in_mprime_width / RESOLUTION - 1) < 0.03
    assert abs(in_m_width / (RESOLUTION / modified_mass_jacobian(mass, "mu")) - 1) < 0.03
# Without a signal a fit is 0 within 3 standard deviations. In M it is not: the limit is wrong.
wrong, right_one = limits["mumu_m"], limits["mumu_mprime"]
assert abs(right_one.poi_hat) < 3 * right_one.poi_error
assert wrong.poi_hat < -4 * wrong.poi_error
assert wrong.observed < 0.8 * wrong.expected[0]  # far outside the band
assert scan.valid.all()
assert scan.significance.max() < 4  # 97 hypotheses: by chance once in 300
# A change of variable, to the rounding of the sum.
assert np.allclose(shifts, jacobian, rtol=1e-9)
# What was stored is below threshold, by less than the last bit of 32 is worth there, 15 eV.
assert -1.5e-8 < stored["mu"] - 2 * m_mu < 0
assert np.isnan(as_it_stands)
assert "below the threshold" in refused

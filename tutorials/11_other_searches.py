# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Three other searches, in twenty lines each
#
# A dimuon resonance in four-muon events, τ → ℓα with templates, and a Z′ that is seen only in the
# recoil. All numbers are assumed and all data are pseudo-data: they show how a search is written
# down, not what an experiment sees. Which shape to use when stands in `docs/models.md`.

# %%
import hist
import numpy as np
import zfit

import zfit_dark as zd

rng = np.random.default_rng(11)

# %% [markdown]
# ## Z′ → μ⁺μ⁻ in e⁺e⁻ → μ⁺μ⁻μ⁺μ⁻
#
# Every event has four pairs. Near the threshold of two muons the modified mass
# M′ = √(M² − 4m²) has a background without an edge. Data, limits and the table of the signal are in
# M′, hypotheses and results in the mass.

# %%
shape = zd.SignalShape(
    [0.0, 8.0],
    {
        "sigma": [0.003, 0.030],
        "alphal": [1.3, 1.3],
        "nl": [4.0, 4.0],
        "alphar": [1.8, 1.8],
        "nr": [8.0, 8.0],
    },
    source="tutorial",
    status="assumed",
)
pairs = 8.0 * rng.beta(1.5, 2.5, 20_000)
luminosity, efficiency = 500.0, 0.15  # fb⁻¹
four_muons = zd.Likelihood(
    [
        zd.ShapeChannel(
            "4mu",
            data=pairs,
            limits=(0.0, 8.0),
            signal=shape,
            signal_per_poi=luminosity * efficiency,
            window=20,
            daughter="mu",
            nuisances=(zd.Nuisance("efficiency", 0.05),),
        )
    ],
    poi="sigma_fb",
)
dimuon = zd.scan(four_muons, [0.22, 0.5, 1.0, 3.0], pseudo_data=True, progress=False)
print(dimuon.summary())

# %% [markdown]
# ## τ → ℓα: templates against the mass of the α
#
# In the rest frame of the τ the lepton of a two-body decay has one energy; in the frame that can be
# reconstructed it is smeared by the neutrino on the other side. So the signal is a template in
# x = 2E/m_τ, and its mass is that of the α: the more massive, the softer the lepton.

# %%
M_TAU = 1.777


def leptons(alpha_mass: float, events: int) -> np.ndarray:
    """Pseudo-data: x around 1 − (m_α/m_τ)², smeared, cut to the range."""
    smearing = rng.triangular(0.6, 1.0, 1.3, events)
    x = (1.0 - (alpha_mass / M_TAU) ** 2) * smearing
    return x[x < 1.5]


simulated = {
    m: hist.Hist.new.Reg(30, 0.0, 1.5).Double().fill(leptons(m, 200_000))
    for m in (0.0, 0.4, 0.8, 1.1, 1.3)
}
obs = zfit.Space("x", 0.0, 1.5)
alpha_mass = zfit.Parameter("alpha_mass", 0.4, floating=False)
n_alpha, n_tau = zfit.Parameter("n_alpha", 0.0), zfit.Parameter("n_tau", 5000.0, 0.0, 1e6)
signal = zd.pdf.Template(alpha_mass, simulated, obs, extended=n_alpha)
end, power = zfit.Parameter("end", -1.0, -20, 20), zfit.Parameter("power", 2.0, 0.1, 8)
background = zd.pdf.Argus(1.5, end, power, obs, extended=n_tau)  # falls to 0 at both ends
spectrum = 1.5 * np.sqrt(1.0 - rng.beta(3.0, 1.0, 5000))
data = zfit.Data.from_numpy(obs=obs, array=np.append(spectrum, leptons(0.6, 1000)))
loss = zfit.loss.ExtendedUnbinnedNLL(zfit.pdf.SumPDF([signal, background]), data)
alphas = zd.scan(
    loss, [0.2, 0.6, 1.0], poi=n_alpha, mass=alpha_mass, pseudo_data=True, progress=False
)
print(alphas.summary())

# %% [markdown]
# ## A Z′ in the recoil of two muons, counted
#
# The Z′ is not seen: there is a peak in the recoil mass, looked for in windows of the recoil mass
# and two ranges of the polar angle, each a channel with a background of its own and one cross
# section in common.

# %%
recoil_shape = zd.SignalShape(
    [0.5, 6.0], {"sigma": [0.30, 0.03]}, source="tutorial", status="assumed"
)
channels = [
    zd.CountingChannel(
        f"recoil_{region}",
        masses=rng.uniform(0.5, 6.0, events),
        signal=recoil_shape,
        window=2.0,
        sidebands=(3.0, 10.0),
        signal_per_poi=luminosity * share,
        limits=(0.5, 6.0),
        nuisances=(zd.Nuisance("recoil_efficiency", 0.1),),
    )
    for region, events, share in (("barrel", 300, 0.06), ("forward", 900, 0.03))
]
both = zd.Likelihood(channels, poi="recoil_sigma_fb")
barrel = zd.Likelihood(channels[:1], poi="barrel_sigma_fb")
limit, alone = (zd.upper_limit(each.move_to(3.0)) for each in (both, barrel))
print(f"both: {limit.observed:.2f} fb (expected {limit.expected[2]:.2f} fb)")
print(f"barrel alone: {alone.observed:.2f} fb (expected {alone.expected[2]:.2f} fb)")

# %%
assert dimuon.valid.all()
assert (dimuon.observed > 0).all()
assert alphas.valid.all()
assert abs(alphas.poi_hat[1] - 1000) < 4 * alphas.poi_error[1]  # where the α was put
assert alphas.p0[1] < 1e-4
assert limit.valid
assert alone.valid
assert limit.expected[2] < alone.expected[2]  # a second region helps

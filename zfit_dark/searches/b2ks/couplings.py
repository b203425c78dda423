"""What limits of b2ks mean for couplings."""

from __future__ import annotations

from zfit_dark.errors import InputError
from zfit_dark.results import Exclusion, LifetimeScan
from zfit_dark.searches._couplings import Coupling, Prediction, channel_of, exclusion
from zfit_dark.searches.b2ks.signal import MODELS, MODES, NUMBERS, kaon_and_final, theory_of


def interpret(
    result: LifetimeScan, *, model: str = "scalar", channel: str | None = None
) -> Exclusion:
    """The couplings that limits exclude, the lifetime of the S moving along with its coupling.

    A coupling is excluded if it predicts more than the upper limit at the lifetime that it implies.
    Between the lifetimes of the scan the logarithm of the limit is interpolated in that of the
    lifetime; outside them nothing is excluded.

    Args:
        result: The limits, of `scan_lifetimes`.
        model: "scalar", a dark scalar with the mixing angle θ, see `theory.scalar`; or "alp", an
            axion-like particle with the coupling g_Y = 2v/f_a to fermions, see
            `theory.fermion_alp`.
        channel: Which of the channels, if there are several: one of `MODES`, or the model that
            they were combined with.

    Returns:
        The excluded intervals against mass. Masses at which the model does not tell the channel's
        branching fraction, or the lifetime, are skipped with the reason.

    Raises:
        InputError: the model or the channel is unknown, or the channels were combined with another
            model.
    """
    theory, coupling = theory_of(model), _COUPLINGS[model]
    name = channel_of(result, channel, (*MODES, *MODELS))
    if name in MODELS and name != model:
        raise InputError(f"the channels were combined with the model {name!r}; interpret it so")

    def predicted(mass: float) -> Prediction:
        per_coupling2 = _predicted(model, name, mass)
        return Prediction(lambda g: per_coupling2 * g**2, theory.lifetime_ctau_cm(mass, 1.0))

    modes = [name] if name in MODES else result.scans[name][0].provenance["settings"]["modes"]
    return exclusion(result, name, coupling, predicted, channels=modes, assumptions=_ASSUMED)


_COUPLINGS = {
    "scalar": Coupling(
        "theta",
        r"$\sin\theta$",
        "dark scalar that mixes with the Higgs boson",
        (1e-7, 1.0),
        ("widths to hadrons are known to 5 % below 1 GeV, 20 % below 2 GeV, 50 % above",),
    ),
    "alp": Coupling(
        "g_Y",
        r"$g_Y = 2v/f_a$",
        "axion-like particle that couples to fermions",
        (1e-7, 10.0),
        ("the couplings are universal at 1 TeV", "decays to hadrons are neglected"),
    ),
}
_ASSUMED = ("the efficiency is assumed, it is not that of the experiment",)


def _predicted(model: str, channel: str, mass: float) -> float:
    """What a channel limits, over the square of the coupling."""
    theory = theory_of(model)
    if channel in MODELS:
        return float(theory.branching_ratio_per_coupling_squared("Kplus", mass))
    kaon, final = kaon_and_final(channel)
    submode = NUMBERS.kst0_to_kpi.value if kaon == "Kst0" else 1.0
    produced = theory.branching_ratio_per_coupling_squared(kaon, mass)
    return float(produced * theory.decay_fraction(final, mass) * submode)

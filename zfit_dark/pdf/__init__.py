"""PDFs for dark-sector searches, ordinary zfit PDFs with zfit's conventions.

They live in sums, losses, binned models and samplers as zfit's own do, and in HS3 as
``zfit_dark.<name>``. zfit fixes what HS3 can hold the first time that it is used: import this
module before. What RooFit reads is written by `zfit_dark.pdf.hs3`.
"""

from __future__ import annotations

from zfit_dark.pdf.argus import Argus
from zfit_dark.pdf.counted import Counted
from zfit_dark.pdf.crystal_ball import CrystalBall, DoubleCB, GeneralizedCB
from zfit_dark.pdf.exponential_tails import GaussExpTail, GeneralizedGaussExpTail
from zfit_dark.pdf.modified_mass import ModifiedMass
from zfit_dark.pdf.novosibirsk import Novosibirsk
from zfit_dark.pdf.template import Template
from zfit_dark.pdf.threshold import Threshold
from zfit_dark.pdf.vetoed import Vetoed
from zfit_dark.pdf.voigt import Voigt
from zfit_dark.pdf.windowed import Windowed

__all__ = [
    "Argus",
    "Counted",
    "CrystalBall",
    "DoubleCB",
    "GaussExpTail",
    "GeneralizedCB",
    "GeneralizedGaussExpTail",
    "ModifiedMass",
    "Novosibirsk",
    "Template",
    "Threshold",
    "Vetoed",
    "Voigt",
    "Windowed",
]

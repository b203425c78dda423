from zfit_dark.pdf.crystal_ball import CrystalBall, DoubleCB
from zfit_dark.pdf.modified_mass import ModifiedMass
from zfit_dark.pdf.threshold import Threshold
from zfit_dark.pdf.vetoed import Vetoed
from zfit_dark.pdf.windowed import Windowed

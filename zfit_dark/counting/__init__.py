"""CLs limits of counting experiments: exact sums over Poisson counts, no toys, no asymptotics.

The parameter of interest (POI) is mu >= 0, in any unit. In each channel

    n_on ~ Poisson(mu * per_poi + b),

and b is known exactly or measured by a sideband, n_off ~ Poisson(tau * b + mu * off_per_poi), and
then profiled, with b >= 0. The definition is that of toys (the "LHC" one) with sums in their place:

    CLs = P(q >= q_obs | mu, b(mu)) / P(q >= q_obs | 0, b(0)),

where q is the profile likelihood ratio with 0 <= mu_hat, zero where mu_hat > mu, and b(mu) is the
background that fits the observed counts best at mu. With one channel of known background this is
P(N <= n | s + b) / P(N <= n | b), which is also the Bayesian limit of a flat prior in mu >= 0.

Relative uncertainties of the signal are averaged over: each probability is the mean of those of a
signal scaled by (1 + u)^theta, with theta normal; q is that of the nominal signal (R. D. Cousins,
V. L. Highland, Nucl. Instrum. Meth. A 320 (1992) 331). Without background and with no event seen, a
limit so becomes weaker by the factor 1 + u^2 or so. Toys, which profile the nuisances and
fluctuate what was observed of them, make it *stronger* there: an observation that favours a larger
signal efficiency counts as more extreme than the data, although they hold no event either way.

The sums leave out counts so improbable that they change no p-value by more than a part in 10^7, or
in 10^4 where that would be too many outcomes. The number of outcomes grows with the power of the
number of channels; where it is too large even so, the sums are taken over outcomes drawn at random,
each with its probability over that of being drawn (the balance heuristic, E. Veach, L. J. Guibas,
SIGGRAPH 95, 419). The probabilities are still exact: only the limit has a statistical error.

Source: A. L. Read, J. Phys. G 28 (2002) 2693; ATLAS and CMS, ATL-PHYS-PUB-2011-11; G. Cowan,
K. Cranmer, E. Gross, O. Vitells, arXiv:1007.1727, equations 12 and 16; for sidebands also
T.-P. Li, Y.-Q. Ma, Astrophys. J. 272 (1983) 317.
"""

from __future__ import annotations

from zfit_dark.counting.counts import Count
from zfit_dark.counting.limits import ExactLimit, cls, exact_limit
from zfit_dark.counting.sums import BANDS, MOST_OUTCOMES

__all__ = ["BANDS", "MOST_OUTCOMES", "Count", "ExactLimit", "cls", "exact_limit"]

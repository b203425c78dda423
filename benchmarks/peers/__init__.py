"""The programs that are compared, a module each.

Every module has ``NAME``, what tables call it; ``PACKAGES``, the distributions whose versions
matter; and a class ``Limits``: made with the name of a job, "one" or "four", and called with a mass
it returns the 95 % CLs limits there, observed and at -2, -1, 0, +1, +2 sigma. A class ``Toys`` is
made with "one" or "window", see ``experiment``, and called with a number of toys; it draws and fits
new ones and returns three rows: best signal, NLL there, NLL at the tested signal, NaN where a fit
has failed.
"""

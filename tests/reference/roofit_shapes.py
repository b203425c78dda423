"""Shapes and densities of RooFit at some points, in a JSON file.

``python roofit_shapes.py roofit_shapes.json`` with a Python that has ROOT (``pip install ROOT``;
the numbers here are of 6.40).
"""

from __future__ import annotations

import json
import sys

import ROOT

LOW, HIGH = 0.3, 0.7
# name of the PDF in zfit_dark, its arguments in order, RooFit's class
CASES = (
    ("CrystalBall", (0.5, 0.01, 1.2, 3.0), "RooCBShape"),
    ("CrystalBall", (0.5, 0.01, -0.8, 1.0), "RooCBShape"),
    ("CrystalBall", (0.45, 0.008, 1.5, 12.0), "RooCrystalBall"),
    ("DoubleCB", (0.45, 0.008, 1.2, 3.0, 1.5, 4.0), "RooCrystalBall"),
    ("DoubleCB", (0.31, 0.02, 0.4, 0.7, 2.5, 1.0), "RooCrystalBall"),
    ("DoubleCB", (0.75, 0.03, 1.0, 20.0, 1.0, 2.0), "RooCrystalBall"),
    ("GeneralizedCB", (0.5, 0.01, 1.2, 3.0, 0.02, 1.5, 4.0), "RooCrystalBall"),
    ("Argus", (0.65, -8.0, 0.5), "RooArgusBG"),
    ("Argus", (0.68, 2.0, 1.3), "RooArgusBG"),
    ("Novosibirsk", (0.5, 0.01, 0.3), "RooNovosibirsk"),
    ("Voigt", (0.5, 0.01, 0.004), "RooVoigtian"),
)


def ordered(name: str, kind: str, arguments: tuple[float, ...]) -> list[float]:
    """The arguments as the constructor of RooFit's class takes them."""
    if name == "DoubleCB":
        mu, sigma, *tails = arguments
        return [mu, sigma, sigma, *tails]
    if name == "GeneralizedCB":
        mu, sigma_left, alpha_left, n_left, sigma_right, alpha_right, n_right = arguments
        return [mu, sigma_left, sigma_right, alpha_left, n_left, alpha_right, n_right]
    if name == "Voigt":
        mean, sigma, gamma = arguments
        return [mean, 2.0 * gamma, sigma]  # its width is the full one
    return list(arguments)


def case(name: str, arguments: tuple[float, ...], kind: str) -> dict[str, object]:
    x = ROOT.RooRealVar("x", "x", LOW, HIGH)
    constants = [
        ROOT.RooRealVar(f"p{i}", "", value)
        for i, value in enumerate(ordered(name, kind, arguments))
    ]
    pdf = getattr(ROOT, kind)("pdf", "", x, *constants)
    points = [LOW + (HIGH - LOW) * (i + 0.5) / 80 for i in range(80)]
    observables = ROOT.RooArgSet(x)
    shape, density = [], []
    for point in points:
        x.setVal(point)
        shape.append(pdf.getVal())
        density.append(pdf.getVal(observables))
    return {
        "pdf": name,
        "arguments": arguments,
        "roofit": kind,
        "x": points,
        "shape": shape,
        "density": density,
    }


if __name__ == "__main__":
    ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.ERROR)
    integrator = ROOT.RooAbsReal.defaultIntegratorConfig()
    integrator.setEpsRel(1e-12)
    integrator.setEpsAbs(1e-12)
    cases = [json.dumps(case(*each)) for each in CASES]
    with open(sys.argv[1], "w") as file:
        file.write(f'{{"root": "{ROOT.__version__}", "cases": [\n' + ",\n".join(cases) + "\n]}\n")

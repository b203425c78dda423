"""The limit of zfit_dark beside that of RooStats, for the same workspace.

``python -m benchmarks.roofit_workspace --root-python PATH`` from the root of the repository. The
model and 400 events of pseudo-data are ``tests/reference/roofit_workspace.json``, which
`zfit_dark.pdf.hs3.workspace` wrote and RooFit reads; PATH is a Python with ROOT.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

WORKSPACE = Path(__file__).parents[1] / "tests" / "reference" / "roofit_workspace.json"
LEVEL, POINTS, HIGHEST = 0.95, 41, 40.0


def with_roostats() -> dict[str, object]:
    """AsymptoticCalculator and HypoTestInverter on a grid, one-sided q-tilde."""
    import ROOT

    ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.ERROR)
    ROOT.RooStats.AsymptoticCalculator.SetPrintLevel(-1)
    w = ROOT.RooWorkspace("w")
    if not ROOT.RooJSONFactoryWSTool(w).importJSON(str(WORKSPACE)):
        sys.exit(f"{WORKSPACE}: not read")
    model, data, poi = w.pdf("model"), w.data("data"), w.var("rf_n_signal")
    poi.setRange(0.0, HIGHEST)  # not negative: q-tilde
    w.var("x").setBins(4000)  # of the Asimov data set
    signal = ROOT.RooStats.ModelConfig("signal", w)
    signal.SetPdf(model)
    signal.SetParametersOfInterest(ROOT.RooArgSet(poi))
    signal.SetObservables(ROOT.RooArgSet(w.var("x")))
    nuisances = ["rf_n_background", "rf_slope_0", "rf_slope_1"]
    signal.SetNuisanceParameters(ROOT.RooArgSet(*(w.var(name) for name in nuisances)))
    background = signal.Clone("background")
    poi.setVal(10.0)
    signal.SetSnapshot(ROOT.RooArgSet(poi))
    poi.setVal(0.0)
    background.SetSnapshot(ROOT.RooArgSet(poi))
    calculator = ROOT.RooStats.AsymptoticCalculator(data, background, signal)
    calculator.SetOneSided(True)
    inverter = ROOT.RooStats.HypoTestInverter(calculator)
    inverter.SetConfidenceLevel(LEVEL)
    inverter.UseCLs(True)
    inverter.SetVerbose(False)
    inverter.SetFixedScan(POINTS, 0.0, HIGHEST)
    result = inverter.GetInterval()
    expected = [result.GetExpectedUpperLimit(n) for n in (-2, -1, 0, 1, 2)]
    return {"observed": result.UpperLimit(), "expected": expected}


def with_zfit_dark() -> dict[str, object]:
    """The same model from the functions that wrote the workspace."""
    import numpy as np
    import zfit

    import zfit_dark as zd

    content = json.loads(WORKSPACE.read_text())
    at = {p["name"]: p["value"] for p in content["parameter_points"][0]["parameters"]}
    axis = content["data"][0]["axes"][0]
    obs = zfit.Space("x", axis["min"], axis["max"])
    n_signal = zfit.Parameter("rf_n_signal", at["rf_n_signal"], -50.0, 200.0)
    n_background = zfit.Parameter("rf_n_background", at["rf_n_background"], 0.0, 1e4)
    shape = [at[f"rf_{name}"] for name in ("mass", "sigma", "alphal", "nl", "alphar", "nr")]
    slopes = [zfit.Parameter(f"rf_slope_{i}", at[f"rf_slope_{i}"], -1.0, 1.0) for i in range(2)]
    model = zfit.pdf.SumPDF(
        [
            zd.pdf.DoubleCB(*shape, obs, extended=n_signal),
            zfit.pdf.Chebyshev(obs, slopes, extended=n_background),
        ]
    )
    data = zfit.Data.from_numpy(obs=obs, array=np.array(content["data"][0]["entries"])[:, 0])
    limit = zd.upper_limit(zfit.loss.ExtendedUnbinnedNLL(model, data), poi=n_signal, level=LEVEL)
    return {"observed": limit.observed, "expected": list(limit.expected)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root-python", help="a Python with ROOT")
    parser.add_argument("--roostats", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.roostats:
        asked.roostats.write_text(json.dumps(with_roostats()))
        sys.exit()
    rows = {"zfit_dark": with_zfit_dark()}
    if asked.root_python:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "limits.json"
            command = [asked.root_python, "-W", "ignore", __file__, "--roostats", str(path)]
            subprocess.run(command, check=True)
            rows["RooStats"] = json.loads(path.read_text())
    print(f"{'':>10} {'observed':>9} {'expected, -2 ... +2 sigma':>49}")
    for name, row in rows.items():
        print(f"{name:>10} {row['observed']:9.4f}", *(f"{each:9.4f}" for each in row["expected"]))

"""RooFit's negative log-likelihood of a model and data in a workspace, in a JSON file.

``python roofit_reads.py workspace.json points.json nll.json`` with a Python that has ROOT. The
model is ``model``, the data are ``data``; each point is a dict of parameters.
"""

from __future__ import annotations

import json
import sys

import ROOT

if __name__ == "__main__":
    ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.ERROR)
    read = ROOT.RooWorkspace("read")
    if not ROOT.RooJSONFactoryWSTool(read).importJSON(sys.argv[1]):
        sys.exit(f"{sys.argv[1]}: not read")
    nll = read.pdf("model").createNLL(read.data("data"), ROOT.RooFit.Extended(True))
    with open(sys.argv[2]) as file:
        points = json.load(file)
    values = []
    for point in points:
        for name, value in point.items():
            read.var(name).setVal(value)
        values.append(nll.getVal())
    with open(sys.argv[3], "w") as file:
        json.dump({"root": ROOT.__version__, "nll": values}, file)

"""RooFit and RooStats: the asymptotic calculator and a scan of 20 points, as its tutorials do it.

At its best: the scan ends just above the largest limit, which is known beforehand. Toys are
RooFit's: one likelihood and one minimizer for all of them, no slower than RooStats' ToyMCSampler.
"""

from __future__ import annotations

import numpy as np
import ROOT
from common import reference_jobs as job_of
from common import scan_end

from peers import experiment

NAME = "RooStats"
PACKAGES = ()
POINTS = 20
ASIMOV_BINS = 400
BANDS = (-2, -1, 0, 1, 2)


class Limits:
    """Limits of a job, "one" or "four"."""

    def __init__(self, job: str) -> None:
        _set_up()
        ROOT.RooStats.AsymptoticCalculator.SetPrintLevel(-1)
        self._job = job
        one, four = job_of.pseudo_data()
        model = _one_channel(one) if job == "one" else _four_channels(four)
        self._workspace, self._config, self._poi = model

    def __call__(self, mass: float) -> list[float]:
        """Limits at a mass: observed, and at -2, -1, 0, +1, +2 sigma."""
        workspace, config, poi = self._workspace, self._config, self._poi
        workspace.var("mass").setVal(mass)
        poi.setVal(1.0)
        config.SetSnapshot({poi})
        background_only = config.Clone("background_only")
        poi.setVal(0.0)
        background_only.SetSnapshot({poi})
        poi.setVal(1.0)
        calculator = ROOT.RooStats.AsymptoticCalculator(
            workspace.data("data"), background_only, config
        )
        calculator.SetOneSided(True)
        inverter = ROOT.RooStats.HypoTestInverter(calculator)
        inverter.SetConfidenceLevel(0.95)
        inverter.UseCLs(True)
        inverter.SetVerbose(False)
        inverter.SetFixedScan(POINTS, 0, scan_end(self._job, mass))
        found = inverter.GetInterval()
        return [found.UpperLimit(), *(found.GetExpectedUpperLimit(band) for band in BANDS)]


class Toys:
    """Toys of a job, "one" or "window"."""

    def __init__(self, job: str) -> None:
        _set_up()
        ROOT.RooRandom.randomGenerator().SetSeed(1)
        self._tested = experiment.tested(job)
        self._workspace, config, self._poi = _one_channel(experiment.candidates(job))
        w, self._pdf = self._workspace, config.GetPdf()
        self._parameters = ROOT.RooArgSet(*[w.var(name) for name in ("n_sig", "n_bkg", "a1", "a2")])
        values = (0.0, *experiment.background(job))
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.setVal(value)
        self._poi.setError(self._tested / 2)
        w.var("mass").setVal(experiment.MASS)
        self._truth = self._parameters.snapshot()
        self._observables = ROOT.RooArgSet(w.var("x"))
        self._recipe = self._pdf.prepareMultiGen(self._observables, ROOT.RooFit.Extended(True))
        self._nll = self._pdf.createNLL(w.data("data"))
        self._minimizer = ROOT.RooMinimizer(self._nll)
        self._minimizer.setPrintLevel(-1)

    def __call__(self, number: int) -> np.ndarray:
        """Fits of so many new toys: best signal, NLL there, NLL at the tested signal."""
        found = np.empty((3, number))
        for i in range(number):
            self._parameters.assign(self._truth)
            toy = self._pdf.generate(self._recipe)
            self._nll.setData(toy, False)
            self._poi.setVal(0.5 * self._tested)
            lowest, best = self._minimise(), self._poi.getVal()
            self._poi.setVal(self._tested)
            self._poi.setConstant(True)
            found[:, i] = best, lowest, self._minimise()
            self._poi.setConstant(False)
            self._toy = toy  # the likelihood points to it
        return found

    def _minimise(self) -> float:
        """NLL at the minimum; NaN if strategy 1 does not find it either."""
        for strategy in (0, 1):
            self._minimizer.setStrategy(strategy)
            if self._minimizer.minimize("Minuit2", "migrad") == 0:
                return float(self._nll.getVal())
        return float("nan")


def version() -> str:
    """Of ROOT itself."""
    return str(ROOT.gROOT.GetVersion())


def _set_up() -> None:
    ROOT.gROOT.SetBatch(True)
    ROOT.gErrorIgnoreLevel = ROOT.kError
    ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.FATAL)
    options = ROOT.Math.MinimizerOptions
    options.SetDefaultMinimizer("Minuit2")
    options.SetDefaultStrategy(0)
    options.SetDefaultPrintLevel(-1)


def _signal() -> ROOT.RooWorkspace:
    """A workspace with the observable and the signal shape."""
    w, s = ROOT.RooWorkspace("w"), job_of.SHAPE
    w.factory(f"x[{job_of.LOW},{job_of.HIGH}]")
    w.var("x").setBins(ASIMOV_BINS)
    w.factory(
        f"RooCrystalBall::signal(x,mass[0.45],sigma[{s['sigma']}],"
        f"alphal[{s['alphal']}],nl[{s['nl']}],alphar[{s['alphar']}],nr[{s['nr']}])"
    )
    return w


def _data(x: ROOT.RooRealVar, values: np.ndarray, name: str) -> ROOT.RooDataSet:
    return ROOT.RooDataSet.from_numpy({x.GetName(): np.ascontiguousarray(values)}, [x], name=name)


def _config(
    w: ROOT.RooWorkspace, poi: str, observables: str, nuisances: list[str]
) -> ROOT.RooStats.ModelConfig:
    config = ROOT.RooStats.ModelConfig("config", w)
    config.SetPdf(w["model"])
    config.SetParametersOfInterest(poi)
    config.SetObservables(observables)
    config.SetNuisanceParameters(",".join(nuisances))
    return config


def _one_channel(
    one: np.ndarray,
) -> tuple[ROOT.RooWorkspace, ROOT.RooStats.ModelConfig, ROOT.RooRealVar]:
    w = _signal()
    w.factory("Chebychev::background(x,{a1[-0.4,-2,2],a2[0.05,-2,2]})")
    w.factory(f"SUM::model(n_sig[0,0,400]*signal,n_bkg[{len(one)},0,20000]*background)")
    getattr(w, "import")(_data(w.var("x"), one, "data"))
    return w, _config(w, "n_sig", "x", ["a1", "a2", "n_bkg"]), w.var("n_sig")


def _four_channels(
    four: dict[str, np.ndarray],
) -> tuple[ROOT.RooWorkspace, ROOT.RooStats.ModelConfig, ROOT.RooRealVar]:
    w = _signal()
    w.factory("bf[0,0,400]")
    w.factory(f"channel[{','.join(four)}]")
    nuisances, data = [], {}
    for (name, values), (a1, a2), per_poi in zip(
        four.items(), job_of.SLOPES, job_of.SIGNAL_PER_POI, strict=True
    ):
        w.factory(f"Chebychev::background_{name}(x,{{a1_{name}[{a1},-2,2],a2_{name}[{a2},-2,2]}})")
        w.factory(
            f"expr::n_sig_{name}('bf*{per_poi}*(1+{job_of.UNCERTAINTY}*theta_{name})',"
            f"bf,theta_{name}[0,-5,5])"
        )
        w.factory(
            f"SUM::density_{name}(n_sig_{name}*signal,"
            f"n_bkg_{name}[{len(values)},0,20000]*background_{name})"
        )
        w.factory(f"Gaussian::constraint_{name}(observed_{name}[0,-5,5],theta_{name},1)")
        w.var(f"observed_{name}").setConstant(True)
        w.factory(f"PROD::constrained_{name}(density_{name},constraint_{name})")
        nuisances += [f"{each}_{name}" for each in ("a1", "a2", "n_bkg", "theta")]
        data[name] = _data(w.var("x"), values, f"data_{name}")
    w.factory(f"SIMUL::model(channel,{','.join(f'{n}=constrained_{n}' for n in four)})")
    x, channel = w.var("x"), w.cat("channel")
    getattr(w, "import")(ROOT.RooDataSet("data", "data", {x, channel}, Index=channel, Import=data))
    config = _config(w, "bf", "x,channel", nuisances)
    config.SetGlobalObservables(",".join(f"observed_{name}" for name in four))
    return w, config, w.var("bf")

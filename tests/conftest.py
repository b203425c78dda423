"""Shared by all tests. The environment is set before anything imports TensorFlow or matplotlib.

A test compiles a program to run it a few times: XLA is asked for quick compilation, which takes
less than half as long. The programs are the same; tutorials and benchmarks run them as users do.
With XLA_FLAGS= in the environment the tests do so, too.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

for name, value in {
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "2",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "2",
    "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0",
    "ZFIT_DISABLE_TF_WARNINGS": "1",
}.items():
    os.environ.setdefault(name, value)

# TensorFlow makes objects that stay, and the collector walks all of them again and again
gc.set_threshold(100_000, 50, 100)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

collect_ignore_glob = ["reference/*.py"]  # some import ROOT, which is not there

# the same examples in every run, and no clock: a compilation may fall into any example
settings.register_profile(
    "repeatable",
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with the same seed in every test."""
    return np.random.default_rng(20260107)


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The folder of the reference jobs and their limits, kept beside the repository."""
    folder = ROOT.parent / "shared" / "bench"
    if not folder.is_dir():
        pytest.skip("no reference jobs here: they lie in shared/bench beside the repository")
    return folder


@pytest.fixture(scope="module")
def likelihood() -> Any:
    """The likelihood of two channels, with room for the candidates of any of its masses."""
    import two_channels

    from zfit_dark.profile import compiled

    made = two_channels.likelihood()
    compiled(made.loss).reserve([384, 384])
    return made

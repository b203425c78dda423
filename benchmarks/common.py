"""What all benchmarks share; imports numpy and the standard library only."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
sys.path.insert(0, str(ROOT / "tests"))

import reference_jobs  # noqa: E402

__all__ = [
    "RESULTS",
    "environment",
    "machine",
    "markdown_table",
    "plot_style",
    "reference_at",
    "reference_jobs",
    "resident_mb",
    "scan_end",
    "write",
]

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def environment() -> dict[str, str]:
    """For processes that are timed: one thread, no accelerator, the package of this checkout."""
    return {
        **os.environ,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "ZFIT_DISABLE_TF_WARNINGS": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }


def reference_at(job: str, mass: float) -> np.ndarray:
    """Reference limits of a job, observed and five expected, by straight lines between masses."""
    masses, *columns = reference_jobs.limits(job).T
    return np.array([np.interp(mass, masses, column) for column in columns])


def scan_end(job: str, mass: float) -> float:
    """Where a scan of the parameter of interest may end: 5 % above the largest limit."""
    return float(1.05 * reference_at(job, mass).max())


def resident_mb() -> float:
    """Memory that this process has in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def machine() -> dict[str, Any]:
    """What the numbers were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: text on the left in the first column, numbers on the right in others."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write(folder: Path, name: str, results: Mapping[str, Any], text: str) -> None:
    """Results as JSON and their tables as Markdown, into a folder; the tables are printed too."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / f"{name}.md").write_text(text)
    print(text)


def plot_style(**changes: Any) -> AbstractContextManager[None]:
    """The style of the plots, to be used in a ``with`` statement."""
    import mplhep
    from matplotlib import rc_context

    style: Mapping[Any, Any] = {
        **mplhep.style.ROOT,
        "font.family": ["TeX Gyre Heros", "DejaVu Sans"],
        "font.size": 13,
        "axes.labelsize": 14,
        "legend.fontsize": 11,
        "figure.dpi": 150,
        **changes,
    }
    return rc_context(style)

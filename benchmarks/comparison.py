"""What comparisons with peers share: their processes, command line, tables and bars."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import RESULTS, environment, markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS = "ours"
TWO = "two threads"
LABELS = {
    "newton": "numba Newton",
    OURS: "zfit_dark",
    TWO: "zfit_dark, two threads",
    "minuit": "numba-stats + iminuit",
    "roostats": "RooStats",
    "stock": "zfit + hepstats",
}
COLORS = {
    "newton": "#94a4a2",
    OURS: "#bd1f01",
    TWO: "#e76300",
    "minuit": "#3f90da",
    "roostats": "#ffa90e",
    "stock": "#832db6",
}


class Peer:
    """A peer in a process of its own.

    Args:
        key: what it is called on the command line.
        python: its interpreter.
        work: arguments of ``worker.py``.

    Attributes:
        status: "ok", "not installed", or what went wrong.
        start: what it said when it was ready.
    """

    def __init__(self, key: str, python: str, *work: str) -> None:
        self.key, self.status = key, "ok"
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("worker.py")), *work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        self.start = self._answer()
        if "missing" in self.start:
            self.status = "not installed"
        elif "error" in self.start:
            self.status = f"failed to start: {self.start['error']}"

    def ask(self, question: float, where: str = "") -> dict[str, Any]:
        """What it says to a mass or a number of toys; nothing if it has failed, now or before.

        Args:
            question: the mass or the number.
            where: what the status adds to "failed", such as " at 0.5 GeV".
        """
        if self.status != "ok":
            return {}
        assert self._process.stdin is not None
        print(question, file=self._process.stdin, flush=True)
        answer = self._answer()
        if "error" in answer:
            self.status = f"failed{where}: {answer['error']}"
            return {}
        return answer

    def close(self) -> None:
        """Let the process end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"error": "the process ended"}


def add_options(
    parser: argparse.ArgumentParser, jobs: Collection[str], peers: Collection[str]
) -> None:
    """The options that all comparisons have, by default for all jobs and peers."""
    parser.add_argument("--jobs", nargs="+", choices=jobs, default=list(jobs))
    parser.add_argument("--peers", nargs="+", choices=peers, default=list(peers))
    parser.add_argument(
        "--roostats-python", default=sys.executable, help="an interpreter that has ROOT and numpy"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")


def timed(peers: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those of the peers of a job that there are times of; of the others there is a status."""
    return {key: peer for key, peer in peers.items() if "first_call_s" in peer}


def tables(
    jobs: Mapping[str, Mapping[str, Any]],
    titles: Mapping[str, str],
    header: Sequence[str],
    cells: Mapping[str, Mapping[str, Sequence[str]]],
) -> str:
    """A Markdown table of each job, a row for each peer, and the versions of all peers.

    Args:
        jobs: what was measured, by job and peer.
        titles: of the jobs.
        header: of the columns, the first of which names the peer.
        cells: of the other columns, by job and peer; the status is shown where there are none.
    """
    parts: list[str] = []
    versions: dict[str, str] = {}
    for job, peers in jobs.items():
        rows = []
        for key, peer in peers.items():
            versions |= peer["versions"]
            if key not in cells[job]:
                rows.append((peer["name"], peer["status"], *[""] * (len(header) - 2)))
                continue
            name = peer["name"] if peer["status"] == "ok" else f"{peer['name']} (failed)"
            rows.append((name, *cells[job][key]))
        parts.append(f"## {titles[job]}\n\n{markdown_table(header, rows)}")
    parts.append("Versions: " + ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) + ".\n")
    return "\n".join(parts)


def bars(
    groups: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, str],
    number: Callable[[float], str],
) -> tuple[Figure, Axes]:
    """A group of bars for each job on a logarithmic axis, in a figure of its own.

    Args:
        groups: lengths of the bars, by title of the job and peer.
        labels: of the peers, in the order of their bars.
        number: how the length of a bar is written above it.

    Returns:
        The figure and its axes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    shown = [[key for key in labels if key in group] for group in groups.values()]
    width = 0.84 / max(1, *map(len, shown))
    for key, label in labels.items():
        drawn = [
            (j + (keys.index(key) - (len(keys) - 1) / 2) * width, group[key])
            for j, (keys, group) in enumerate(zip(shown, groups.values(), strict=True))
            if key in keys
        ]
        if drawn:
            places, lengths = zip(*drawn, strict=True)
            container = axes.bar(
                places, lengths, width=0.92 * width, color=COLORS[key], label=label
            )
            axes.bar_label(container, fmt=number, padding=2, fontsize=10)
    axes.set_yscale("log")
    axes.set_xticks(range(len(groups)), list(groups))
    axes.tick_params(axis="x", which="both", length=0)
    axes.legend(ncols=2, loc="upper left")
    return figure, axes

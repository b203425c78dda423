"""Speed of zfit_dark and its peers on the two reference jobs, all in one run; see README.md.

Every peer runs in a process of its own with one thread. They are asked for one mass after the other
in turn, so that whatever else the machine does hits all of them alike.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, plot_style, reference_jobs, write
from comparison import LABELS, OURS, Peer, add_options, bars, tables, timed

PEERS = ("newton", OURS, "minuit", "roostats", "stock")
JOBS = {"one": "One channel", "four": "Four channels"}
WARM_UP = 0.4925
"""A mass between those that are timed."""
LARGEST_DEVIATION = 5e-4
"""Of our limits from the reference, relative."""


class Limits(Peer):
    """A peer that is asked for limits.

    Args:
        key: its module in ``peers``.
        job: "one" or "four".
        python: its interpreter.

    Attributes:
        first: what it said to the warm-up mass.
        points: what it said to all other masses.
    """

    def __init__(self, key: str, job: str, python: str) -> None:
        super().__init__(key, python, key, job)
        self.points: list[dict[str, Any]] = []
        self.first = self._limits(WARM_UP)

    def time(self, mass: float) -> None:
        """Ask for the limits at a mass, unless the peer has failed."""
        if point := self._limits(mass):
            self.points.append(point)

    def _limits(self, mass: float) -> dict[str, Any]:
        return self.ask(mass, f" at {mass:.4g} GeV")


def time_job(
    job: str, peers: Sequence[str], masses: int, stock_masses: int, roostats_python: str
) -> dict[str, Any]:
    """All peers on a job.

    Args:
        job: "one" or "four".
        peers: their modules.
        masses: how many of the reference's masses, evenly spread.
        stock_masses: how many of those stock zfit + hepstats is asked for.
        roostats_python: interpreter of the RooStats peer.

    Returns:
        What was measured of each peer.
    """
    reference = reference_jobs.limits(job)
    asked = reference[_spread(len(reference), masses)]
    of_stock = set(_spread(len(asked), stock_masses))
    running = []
    for key in peers:
        if key == "stock" and not of_stock:
            continue
        print(f"{job}: starting {LABELS[key]}", file=sys.stderr, flush=True)
        running.append(Limits(key, job, roostats_python if key == "roostats" else sys.executable))
    for i, mass in enumerate(asked[:, 0]):
        print(f"{job}: {mass:.4g} GeV", file=sys.stderr, flush=True)
        for peer in running:
            if peer.key != "stock" or i in of_stock:
                peer.time(float(mass))
    for peer in running:
        peer.close()
    of_ours = {p["mass"]: p for peer in running if peer.key == OURS for p in peer.points}
    return {peer.key: summary(peer, reference, of_ours) for peer in running}


def summary(peer: Limits, reference: np.ndarray, of_ours: Mapping[float, Any]) -> dict[str, Any]:
    """What was measured of a peer.

    Args:
        peer: having done its work.
        reference: rows of mass and six limits.
        of_ours: what zfit_dark said to each mass.
    """
    found = {
        "name": peer.start.get("name", LABELS[peer.key]),
        "status": peer.status,
        "versions": peer.start.get("versions", {}),
    }
    if not peer.points:
        return found
    expected = {row[0]: row[1:] for row in reference}
    wall = np.array([p["wall_s"] for p in peer.points])
    deviations = [np.array(p["limits"]) / expected[p["mass"]] - 1 for p in peer.points]
    both = [(of_ours[p["mass"]], p) for p in peer.points if p["mass"] in of_ours]
    memory = peer.first["rss_mb"]
    return found | {
        "masses": len(wall),
        "start_s": peer.start["start_s"],
        "first_call_s": peer.first["wall_s"],
        "median_ms": 1e3 * float(np.median(wall)),
        "slowest_ms": 1e3 * float(wall.max()),
        "cpu_over_wall": float(np.median([p["cpu_s"] / p["wall_s"] for p in peer.points])),
        "ours_over_this": {
            clock: float(np.median([ours[clock] / this[clock] for ours, this in both]))
            for clock in ("wall_s", "cpu_s")
            if both
        },
        "largest_deviation": float(np.abs(deviations).max()),
        "rss_mb": memory,
        "rss_growth_mb": peer.points[-1]["rss_mb"] - memory,
        "points": peer.points,
    }


def table(jobs: Mapping[str, Mapping[str, Any]], where: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    header = (
        "peer",
        "masses",
        "ms / mass",
        "ours / peer",
        "in CPU time",
        "start [s]",
        "first call [s]",
        "deviation",
        "RSS [MB]",
        "growth [MB]",
        "CPU / wall",
    )
    cells = {
        job: {key: _cells(peer) for key, peer in timed(peers).items()}
        for job, peers in jobs.items()
    }
    return f"Speed on {where['processor']}, one thread.\n\n" + tables(jobs, JOBS, header, cells)


def plot(jobs: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Milliseconds per mass point, a group of bars for each job."""
    groups = {
        JOBS[job]: {key: peer["median_ms"] for key, peer in timed(peers).items()}
        for job, peers in jobs.items()
    }
    with plot_style():
        figure, axes = bars(groups, LABELS, _milliseconds)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 1.0), 8 * high)
        axes.set_ylabel("Time per mass point [ms]")
        figure.savefig(path)


def main() -> None:
    """Time both jobs, write the results, and fail if ours are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--masses", type=int, default=21, help="how many (21)")
    parser.add_argument(
        "--stock-masses",
        type=int,
        nargs=2,
        default=(2, 1),
        metavar=("ONE", "FOUR"),
        help="masses of stock zfit + hepstats in the two jobs (2 1); minutes each, 0 for none",
    )
    add_options(parser, JOBS, PEERS)
    options = parser.parse_args()

    stock_masses = dict(zip(JOBS, options.stock_masses, strict=True))
    jobs = {
        job: time_job(
            job, options.peers, options.masses, stock_masses[job], options.roostats_python
        )
        for job in options.jobs
    }
    where = machine()
    write(options.output, "speed", {"machine": where, "jobs": jobs}, table(jobs, where))
    plot(jobs, options.output / "speed.png")
    wrong = [
        f"{JOBS[job]}: zfit_dark {ours['status']}, deviation {ours.get('largest_deviation')}"
        for job, peers in jobs.items()
        if (ours := peers.get(OURS))
        and not (ours["status"] == "ok" and ours["largest_deviation"] < LARGEST_DEVIATION)
    ]
    if wrong:
        sys.exit("\n".join(wrong))


def _cells(peer: Mapping[str, Any]) -> Sequence[str]:
    """A row of the table, without the name."""
    ratio = peer["ours_over_this"]
    return (
        str(peer["masses"]),
        f"{peer['median_ms']:.3g}",
        *(f"{ratio[clock]:.2g}" if ratio else "" for clock in ("wall_s", "cpu_s")),
        f"{peer['start_s']:.1f}",
        f"{peer['first_call_s']:.1f}",
        f"{peer['largest_deviation']:.1e}",
        f"{peer['rss_mb']:.0f}",
        f"{peer['rss_growth_mb']:+.1f}",
        f"{peer['cpu_over_wall']:.2f}",
    )


def _spread(available: int, wanted: int) -> list[int]:
    """Indices of so many of the available ones, evenly spread; the middle one if it is one."""
    if wanted >= available:
        return list(range(available))
    edges = np.linspace(0, available, wanted + 1)
    return [int(i) for i in (edges[1:] + edges[:-1]) / 2]


def _milliseconds(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


if __name__ == "__main__":
    main()

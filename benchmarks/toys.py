"""Toys a second of zfit_dark and its peers, all in one run; see README.md.

A toy is drawn, fitted freely and fitted at a given signal. Every peer runs in a process of its own.
They draw blocks of toys in turn, so that whatever else the machine does hits all of them alike.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, plot_style, write
from comparison import LABELS, OURS, TWO, Peer, add_options, bars, tables, timed
from peers import experiment

PEERS = {
    "newton": ("newton", "Toys"),
    OURS: ("ours", "Toys"),
    TWO: ("ours", "ToysOnTwoThreads"),
    "minuit": ("minuit", "Toys"),
    "roostats": ("roostats", "Toys"),
    "stock": ("stock", "Toys"),
}
"""Module and class."""
NAMES = {**LABELS, "roostats": "RooFit"}
JOBS = {"one": "One channel, 5000 events", "window": "A window of 40 events"}
TIMES_OURS = {
    ("one", "newton"): 0.5,
    ("one", "roostats"): 2.0,
    ("one", "stock"): 200.0,
    ("window", "stock"): 200.0,
}
"""What zfit_dark shall be at least, as a multiple of a peer's toys a second."""
PER_SECOND = {("window", TWO): 5000.0}
"""Toys a second that shall be reached."""
WARM_UP = {"stock": 1}
"""Toys of the first call, if not ``MANY``."""
MANY = 64
FEWEST = 4
"""Toys of a block."""
LARGEST_Z = 4.5
"""Of the difference between two means, in standard deviations; 1 in 150 000 is larger by chance."""


class Toys(Peer):
    """A peer that is asked for toys.

    Args:
        key: one of ``PEERS``.
        job: "one" or "window".
        python: its interpreter.
        seconds: that a block of toys shall take.

    Attributes:
        first: what it said to the warm-up.
        blocks: what it said to all blocks; none where it has failed.
    """

    def __init__(self, key: str, job: str, python: str, seconds: float) -> None:
        module, kind = PEERS[key]
        super().__init__(key, python, module, job, kind)
        self.blocks: dict[int, dict[str, Any]] = {}
        few = WARM_UP.get(key, MANY)
        self.first = self.ask(few)
        again = self.ask(few)
        self._block = max(FEWEST, round(few * seconds / again["wall_s"])) if again else 0

    def time(self, block: int) -> None:
        """Ask for a block of toys, unless the peer has failed."""
        if found := self.ask(self._block):
            self.blocks[block] = found


def time_job(job: str, options: argparse.Namespace) -> dict[str, Any]:
    """All peers on a job.

    Args:
        job: "one" or "window".
        options: of the command line.

    Returns:
        What was measured of each peer.
    """
    running = []
    for key in options.peers:
        if (key == TWO and job != "window") or (key == "stock" and not options.stock_blocks):
            continue
        print(f"{job}: starting {NAMES[key]}", file=sys.stderr, flush=True)
        python = options.roostats_python if key == "roostats" else sys.executable
        running.append(Toys(key, job, python, options.seconds))
    for block in range(options.blocks):
        print(f"{job}: block {block + 1} of {options.blocks}", file=sys.stderr, flush=True)
        for peer in running:
            if peer.key != "stock" or block < options.stock_blocks:
                peer.time(block)
    for peer in running:
        peer.close()
    ours = next((peer for peer in running if peer.key == OURS), None)
    return {peer.key: summary(peer, job, ours) for peer in running}


def summary(peer: Toys, job: str, ours: Toys | None) -> dict[str, Any]:
    """What was measured of a peer.

    Args:
        peer: having done its work.
        job: "one" or "window".
        ours: zfit_dark.
    """
    found: dict[str, Any] = {
        "name": NAMES[peer.key],
        "status": peer.status,
        "versions": peer.start.get("versions", {}),
    }
    if not peer.blocks:
        return found
    best, q = fits(peer, job)
    found |= {
        "blocks": len(peer.blocks),
        "toys": len(q),
        "failed": int(np.isnan(q).sum()),
        "start_s": peer.start["start_s"],
        "first_call_s": peer.first["wall_s"],
        "per_second": float(np.median([_rate(block, "wall_s") for block in peer.blocks.values()])),
        "cpu_over_wall": float(
            np.median([block["cpu_s"] / block["wall_s"] for block in peer.blocks.values()])
        ),
        "best": _mean(best),
        "q": _mean(q),
        "timed": [
            {each: block[each] for each in ("toys", "wall_s", "cpu_s")}
            for block in peer.blocks.values()
        ],
    }
    if ours is None or not ours.blocks or peer is ours:
        return found
    of_ours = fits(ours, job)
    found["z"] = [_apart(mine, other) for mine, other in zip((best, q), of_ours, strict=True)]
    if peer.key != TWO and (both := sorted(peer.blocks.keys() & ours.blocks.keys())):
        found["ours_over_this"] = {
            clock: float(
                np.median(
                    [_rate(ours.blocks[i], clock) / _rate(peer.blocks[i], clock) for i in both]
                )
            )
            for clock in ("wall_s", "cpu_s")
        }
    return found


def fits(peer: Toys, job: str) -> tuple[np.ndarray, np.ndarray]:
    """Best signal and test statistic of all toys of a peer, NaN where a fit has failed.

    The test statistic of a limit: twice the difference of the NLL, zero where the best signal is
    larger than the tested one.
    """
    best, lowest, conditional = (
        np.concatenate([block[each] for block in peer.blocks.values()])
        for each in ("best", "lowest", "conditional")
    )
    q = np.where(best > experiment.tested(job), 0.0, 2 * (conditional - lowest))
    failed = ~np.isfinite(best + lowest + conditional)
    return np.where(failed, np.nan, best), np.where(failed, np.nan, q)


def target(job: str, key: str, peer: Mapping[str, Any]) -> tuple[str, bool | None]:
    """What is wanted of a row of the table, and whether it is so; None if nothing is."""
    if (least := PER_SECOND.get((job, key))) is not None:
        return f"≥ {least:,.0f} toys / s", peer["per_second"] >= least
    if (least := TIMES_OURS.get((job, key))) is not None and "ours_over_this" in peer:
        return f"ours / peer ≥ {least:g}", peer["ours_over_this"]["wall_s"] >= least
    return "", None


def table(jobs: Mapping[str, Mapping[str, Any]], where: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    header = (
        "peer",
        "toys",
        "toys / s",
        "ours / peer",
        "in CPU time",
        "target",
        "start [s]",
        "first call [s]",
        "mean best fit",
        "z",
        "mean q",
        "z",
        "failed",
        "CPU / wall",
    )
    cells = {
        job: {key: _cells(job, key, peer) for key, peer in timed(peers).items()}
        for job, peers in jobs.items()
    }
    headline = f"Toys on {where['processor']}, {where['cores']} cores.\n\n"
    return headline + tables(jobs, JOBS, header, cells)


def plot(jobs: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Toys a second, a group of bars for each job."""
    groups = {
        JOBS[job]: {key: peer["per_second"] for key, peer in timed(peers).items()}
        for job, peers in jobs.items()
    }
    with plot_style():
        figure, axes = bars(groups, NAMES, _three_digits)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.1), 30 * high)
        axes.set_ylabel("Toys per second")
        figure.savefig(path)


def main() -> None:
    """Time both jobs, write the results, and fail if ours are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=11, help="of toys of each peer (11)")
    parser.add_argument("--seconds", type=float, default=0.5, help="that a block takes (0.5)")
    parser.add_argument(
        "--stock-blocks", type=int, default=2, help="of stock zfit + hepstats (2); 0 for none"
    )
    add_options(parser, JOBS, PEERS)
    options = parser.parse_args()

    jobs = {job: time_job(job, options) for job in options.jobs}
    where = machine()
    write(options.output, "toys", {"machine": where, "jobs": jobs}, table(jobs, where))
    plot(jobs, options.output / "toys.png")
    if wrong := _wrong(jobs):
        sys.exit("\n".join(wrong))


def _cells(job: str, key: str, peer: Mapping[str, Any]) -> Sequence[str]:
    """A row of the table, without the name."""
    ratio, z = peer.get("ours_over_this"), peer.get("z")
    wanted, met = target(job, key, peer)
    return (
        f"{peer['toys']:,}",
        _three_digits(peer["per_second"]),
        *(_three_digits(ratio[clock]) if ratio else "" for clock in ("wall_s", "cpu_s")),
        wanted if met is None else f"{wanted}: {'met' if met else 'missed'}",
        f"{peer['start_s']:.1f}",
        f"{peer['first_call_s']:.1f}",
        _with_error(*peer["best"]),
        f"{z[0]:+.1f}" if z else "",
        _with_error(*peer["q"]),
        f"{z[1]:+.1f}" if z else "",
        f"{peer['failed']}",
        f"{peer['cpu_over_wall']:.2f}",
    )


def _wrong(jobs: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """What must not be: peers that disagree, and zfit_dark not at work."""
    found = []
    for job, peers in jobs.items():
        for key, peer in peers.items():
            if key in (OURS, TWO) and peer["status"] != "ok":
                found.append(f"{JOBS[job]}: {peer['name']} {peer['status']}")
            if not np.abs(peer.get("z", 0.0)).max() < LARGEST_Z:
                found.append(f"{JOBS[job]}: {peer['name']} disagrees with zfit_dark: z {peer['z']}")
    return found


def _rate(block: Mapping[str, Any], clock: str) -> float:
    return float(block["toys"] / block[clock])


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Mean of what is not NaN, and its error."""
    known = values[np.isfinite(values)]
    return float(known.mean()), float(known.std() / np.sqrt(len(known)))


def _apart(values: np.ndarray, ours: np.ndarray) -> float:
    """Difference of the means in standard deviations; few toys of a peer do not tell its spread."""
    a, b = values[np.isfinite(values)], ours[np.isfinite(ours)]
    return float((a.mean() - b.mean()) / (b.std() * np.sqrt(1 / len(a) + 1 / len(b))))


def _with_error(mean: float, error: float) -> str:
    return f"{mean:.3f} ± {error:.3f}"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    main()

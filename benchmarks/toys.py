"""Toys a second of zfit_dark and its peers, all in one run; see README.md.

A toy is drawn, fitted freely and fitted at a given signal. Every peer runs in a process of its own.
They draw blocks of toys in turn, so that whatever else the machine does hits all of them alike.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, environment, machine, markdown_table, plot_style
from peers import experiment
from run import COLORS, LABELS, OURS

TWO = "two threads"
PEERS = {
    "newton": ("newton", "Toys"),
    OURS: ("ours", "Toys"),
    TWO: ("ours", "ToysOnTwoThreads"),
    "minuit": ("minuit", "Toys"),
    "roostats": ("roostats", "Toys"),
    "stock": ("stock", "Toys"),
}
"""Module and class."""
NAMES = {**LABELS, TWO: "zfit_dark, two threads", "roostats": "RooFit"}
BARS = {**COLORS, TWO: "#e76300"}
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


class Peer:
    """A peer at work on a job.

    Args:
        key: one of ``PEERS``.
        job: "one" or "window".
        python: its interpreter.
        seconds: that a block of toys shall take.

    Attributes:
        status: "ok", "not installed", or what went wrong.
        start: what it said when it was ready.
        first: what it said to the warm-up.
        blocks: what it said to all blocks; none where it has failed.
    """

    def __init__(self, key: str, job: str, python: str, seconds: float) -> None:
        self.key, self.status = key, "ok"
        self.first: dict[str, Any] = {}
        self.blocks: dict[int, dict[str, Any]] = {}
        module, kind = PEERS[key]
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("worker.py")), module, job, kind],
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
        few = WARM_UP.get(key, MANY)
        self.first = self._ask(few)
        again = self._ask(few)
        self._block = max(FEWEST, round(few * seconds / again["wall_s"])) if again else 0

    def time(self, block: int) -> None:
        """Ask for a block of toys, unless the peer has failed."""
        if found := self._ask(self._block):
            self.blocks[block] = found

    def close(self) -> None:
        """Let the process end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _ask(self, toys: int) -> dict[str, Any]:
        if self.status != "ok":
            return {}
        assert self._process.stdin is not None
        print(toys, file=self._process.stdin, flush=True)
        answer = self._answer()
        if "error" in answer:
            self.status = f"failed: {answer['error']}"
            return {}
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"error": "the process ended"}


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
        running.append(Peer(key, job, python, options.seconds))
    for block in range(options.blocks):
        print(f"{job}: block {block + 1} of {options.blocks}", file=sys.stderr, flush=True)
        for peer in running:
            if peer.key != "stock" or block < options.stock_blocks:
                peer.time(block)
    for peer in running:
        peer.close()
    ours = next((peer for peer in running if peer.key == OURS), None)
    return {peer.key: summary(peer, job, ours) for peer in running}


def summary(peer: Peer, job: str, ours: Peer | None) -> dict[str, Any]:
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


def fits(peer: Peer, job: str) -> tuple[np.ndarray, np.ndarray]:
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
    parts = [f"Toys on {where['processor']}, {where['cores']} cores.\n"]
    versions: dict[str, str] = {}
    for job, peers in jobs.items():
        rows = []
        for key, peer in peers.items():
            versions |= peer["versions"]
            if "per_second" not in peer:
                rows.append((peer["name"], peer["status"], *[""] * (len(header) - 2)))
                continue
            ratio, z = peer.get("ours_over_this"), peer.get("z")
            wanted, met = target(job, key, peer)
            rows.append(
                (
                    peer["name"] if peer["status"] == "ok" else f"{peer['name']} (failed)",
                    f"{peer['toys']:,}",
                    _three_digits(peer["per_second"]),
                    *(_three_digits(ratio[c]) if ratio else "" for c in ("wall_s", "cpu_s")),
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
            )
        parts.append(f"## {JOBS[job]}\n\n{markdown_table(header, rows)}")
    parts.append("Versions: " + ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) + ".\n")
    return "\n".join(parts)


def plot(jobs: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Toys a second, a group of bars for each job."""
    with plot_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.subplots()
        width = 0.14
        shown = [
            [key for key in PEERS if "per_second" in job.get(key, {})] for job in jobs.values()
        ]
        for key in PEERS:
            groups = [
                (j + (keys.index(key) - (len(keys) - 1) / 2) * width, job[key]["per_second"])
                for j, (keys, job) in enumerate(zip(shown, jobs.values(), strict=True))
                if key in keys
            ]
            if groups:
                places, heights = zip(*groups, strict=True)
                bars = axes.bar(
                    places, heights, width=0.92 * width, color=BARS[key], label=NAMES[key]
                )
                axes.bar_label(bars, fmt=_three_digits, padding=2, fontsize=10)
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.1), 30 * high)
        axes.set_xticks(range(len(jobs)), [JOBS[job] for job in jobs])
        axes.tick_params(axis="x", which="both", length=0)
        axes.set_ylabel("Toys per second")
        axes.legend(ncols=2, loc="upper left")
        figure.savefig(path)


def main() -> None:
    """Time both jobs, write the results, and fail if ours are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=11, help="of toys of each peer (11)")
    parser.add_argument("--seconds", type=float, default=0.5, help="that a block takes (0.5)")
    parser.add_argument(
        "--stock-blocks", type=int, default=2, help="of stock zfit + hepstats (2); 0 for none"
    )
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument(
        "--roostats-python", default=sys.executable, help="an interpreter that has ROOT and numpy"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()

    jobs = {job: time_job(job, options) for job in options.jobs}
    where = machine()
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "toys.json").write_text(
        json.dumps({"machine": where, "jobs": jobs}, indent=1) + "\n"
    )
    text = table(jobs, where)
    (options.output / "toys.md").write_text(text)
    plot(jobs, options.output / "toys.png")
    print(text)
    if wrong := _wrong(jobs):
        sys.exit("\n".join(wrong))


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

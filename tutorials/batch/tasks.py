"""A scan in shards, as tasks of b2luigi: ``python tasks.py --batch``.

On which batch system, and how many at a time, is told by ``settings.json`` beside this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import b2luigi
import numpy as np

import zfit_dark as zd

SHARDS = 3
MASS = 1.52  # in GeV, of the signal in the pseudo-data


def shape() -> zd.SignalShape:
    """The resolution against the mass."""
    return zd.SignalShape(
        [0.5, 2.5], {"sigma": [0.0022, 0.0050]}, source="tutorial", status="assumed"
    )


def likelihood() -> zd.Likelihood:
    """What is counted in pseudo-data: background, and five signal events."""
    rng = np.random.default_rng(5)
    background = rng.uniform(0.6, 2.4, 40)
    channel = zd.CountingChannel(
        "mumu",
        masses=np.append(background, rng.normal(MASS, shape().sigma(MASS), 5)),
        signal=shape(),
        window=2,
        sidebands=(4, 20),
        signal_per_poi=365 * 0.08,  # of 1 fb: luminosity times efficiency
        limits=(0.6, 2.4),
    )
    return zd.Likelihood([channel], poi="sigma")


def hypotheses() -> np.ndarray:
    """40 masses in GeV, in steps of the resolution."""
    return shape().grid(1.45, 1.60)[:40]


def scan(masses: np.ndarray | None = None, **how: Any) -> zd.Scan:
    """Limits at masses, all hypotheses by default; see ``zd.scan`` for how they are found."""
    return zd.scan(
        likelihood(),
        hypotheses() if masses is None else masses,
        poi_label=r"$\sigma \times \mathcal{B}$",
        poi_unit="fb",
        pseudo_data=True,
        progress=False,
        **how,
    )


class Shard(b2luigi.Task):
    """Every n-th hypothesis from the k-th on."""

    n = b2luigi.IntParameter()
    k = b2luigi.IntParameter()

    def output(self) -> Iterator[dict[str, Any]]:
        yield self.add_to_output("scan.json")

    def run(self) -> None:
        path = Path(self.get_output_file_name("scan.json"))
        scan(shard=(self.k, self.n), checkpoint=path.with_suffix(".checkpoint")).to_json(path)


class Whole(b2luigi.Task):
    """The scan that all shards make."""

    n = b2luigi.IntParameter()

    def requires(self) -> Iterator[b2luigi.Task]:
        for k in range(1, self.n + 1):
            yield Shard(n=self.n, k=k)

    def output(self) -> Iterator[dict[str, Any]]:
        yield self.add_to_output("scan.json")

    def run(self) -> None:
        parts = [zd.Scan.from_json(path) for path in self.get_input_file_names("scan.json")]
        reduce(zd.Scan.merge, parts).to_json(self.get_output_file_name("scan.json"))


if __name__ == "__main__":
    b2luigi.process(Whole(n=SHARDS), workers=b2luigi.get_setting("workers", default=1))

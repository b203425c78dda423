# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A scan on a batch system: dask and b2luigi
#
# Thousands of hypotheses, none of which needs another: that is work for a batch system. Three ways
# to find the same limits: in this process; by the workers of a dask cluster; and as tasks of
# b2luigi, Belle II's workflow tool. It makes no difference to the result, not in the last bit. Here
# the cluster and the batch system are this machine, and the scan is so short that most of the time
# goes into starting processes. All data are pseudo-data, and luminosity × efficiency is assumed.

# %%
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mplhep
import numpy as np
from batch import tasks
from distributed import Client
from distributed.deploy.subprocess import SubprocessCluster

import zfit_dark as zd
from zfit_dark.checkpoint import masses_done

plt.style.use([mplhep.style.ROOT, {"font.size": 17}])
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)

# %% [markdown]
# ## The scan
#
# The model and the scan stand in a file of their own, `batch/tasks.py`, so that a batch job can
# import them. It is a cut and count as in tutorial 05. `scan(...)` passes everything on to
# `zd.scan`.

# %%
print(Path(tasks.__file__).read_text(encoding="utf-8"))

# %% [markdown]
# First the plain way, in the threads of this process. It is what the others are compared with.

# %%
plain = tasks.scan()
print(plain.summary())

# %% [markdown]
# ## On a cluster of dask
#
# `executor=` takes the executor of a dask client. Each worker is sent the model once; after that a
# hypothesis is a few bytes. This cluster has two workers, started as commands on this machine:
#
# - In a notebook, `LocalCluster(n_workers=2, threads_per_worker=1)` does the same; in a script it
#   has to stand below `if __name__ == "__main__":`, because its workers import the script first.
# - On HTCondor, LSF or Slurm dask-jobqueue submits the workers as jobs:
#   `HTCondorCluster(cores=1, memory="3 GB", disk="1 GB")`, `LSFCluster(...)` or
#   `SLURMCluster(...)`, then `cluster.scale(40)`; nothing else changes.
# - With a scheduler that runs already it is `Client("tcp://scheduler:8786")`, or
#   `zfit-dark scan --dask tcp://scheduler:8786`.
#
# A job may be killed at any time, so limits are kept in a checkpoint as they are found. Here the
# scan ends after 15 masses, as if it had been killed; the same call for all masses goes on.

# %%
checkpoint = folder / "limits.checkpoint"
with (
    SubprocessCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    Client(cluster) as client,
    client.get_executor() as executor,
):
    client.wait_for_workers(2)
    tasks.scan(tasks.hypotheses()[:15], executor=executor, checkpoint=checkpoint)
    first = sorted(masses_done(checkpoint))
    by_dask = tasks.scan(executor=executor, checkpoint=checkpoint)
print(f"{len(first)} limits were found before, {len(by_dask.masses) - len(first)} after")

# %% [markdown]
# ## As tasks of b2luigi
#
# Tasks say what they need and what they write; b2luigi runs those whose output is missing, and
# submits each as a batch job. `Shard` works on every n-th hypothesis, with a checkpoint of its own,
# and writes JSON. `Whole` needs all shards, and joins them with `Scan.merge`, which refuses shards
# of other data, settings or models. A shard that failed or was killed is taken up again by the same
# command.
#
# `settings.json` says where: `"test"` starts each task as a process here, with the same wrapper
# script as a batch job. On a cluster it is `"htcondor"`, `"lsf"` or `"slurm"`, and `workers` is how
# many jobs there are at a time. Every job runs the file of the tasks anew, which is why they do not
# stand in a notebook.

# %%
shutil.copy(tasks.__file__, folder)
(folder / "settings.json").write_text(json.dumps({"batch_system": "test", "workers": 2}))
done = subprocess.run(
    [sys.executable, "tasks.py", "--batch"], cwd=folder, capture_output=True, text=True, check=True
)
summary = done.stdout + done.stderr
print(summary[summary.index("Scheduled") : summary.index("This progress")])

# %%
written = sorted(folder.glob("n=*/**/scan.json"))
print(*(path.relative_to(folder) for path in written), sep="\n")
whole = zd.Scan.from_json(folder / f"n={tasks.SHARDS}" / "scan.json")
shards = [
    zd.Scan.from_json(folder / f"n={tasks.SHARDS}" / f"k={k}" / "scan.json")
    for k in range(1, tasks.SHARDS + 1)
]

# %% [markdown]
# ## The same limits
#
# Above the limits that the shards make together, below who found which. Neighbours in mass are in
# different shards, so that all take about as long.

# %%
figure, (upper, lower) = plt.subplots(
    2, 1, figsize=(10, 10), height_ratios=(3, 1.2), sharex=True, layout="constrained"
)
zd.plot.brazil(whole, upper, mass_label="")
rows = {
    "dask, before": np.array(first),
    "dask, after": np.setdiff1d(by_dask.masses, first),
    **{f"shard {k} of {tasks.SHARDS}": shard.masses for k, shard in enumerate(shards, 1)},
}
for row, masses in enumerate(rows.values()):
    color = "0.3" if row < 2 else f"C{row - 2}"
    lower.plot(masses, np.full(len(masses), row), "s", color=color, markersize=6)
for k, shard in enumerate(shards):
    upper.plot(shard.masses, shard.observed, "o", color=f"C{k}", mec="w", markersize=8, zorder=5)
lower.set_yticks(range(len(rows)), list(rows), fontsize=14)
lower.set(xlabel=r"$m_a$ [GeV]", xlim=(1.448, 1.593), ylim=(len(rows) - 0.5, -0.5))
lower.tick_params(axis="y", which="both", length=0)
differs = max(np.abs(whole.observed - plain.observed).max(), np.abs(by_dask.p0 - plain.p0).max())
print(f"largest difference: {differs}")


# %%
def same(one: zd.Scan, other: zd.Scan) -> None:
    """Whether two scans have the same results, to the last bit."""
    for name in ("masses", "observed", "expected", "poi_hat", "poi_error", "p0", "valid"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.how, one.warnings, one.skipped) == (other.how, other.warnings, other.skipped)


same(by_dask, plain)
same(whole, plain)
assert plain.valid.all()
assert len(plain.masses) == 40
# Each hypothesis was worked on once by the cluster, and once by a shard.
assert first == plain.masses[:15].tolist()
assert sorted(masses_done(checkpoint)) == plain.masses.tolist()
for k, shard in enumerate(shards):
    assert np.array_equal(shard.masses, plain.masses[k :: tasks.SHARDS])
    assert np.array_equal(shard.observed, plain.observed[k :: tasks.SHARDS])
assert len(written) == tasks.SHARDS + 1
# It is one scan, with the signal where it was put, and no limit below that of an empty window:
# 3.00 events, 95.45 % of which would be in it.
top = int(np.argmin(whole.p0))
assert abs(whole.masses[top] - tasks.MASS) < 2 * tasks.shape().sigma(tasks.MASS)
assert whole.p0[top] < 1e-3
assert np.isclose(whole.observed.min() * 365 * 0.08 * 0.9545, 2.996, rtol=1e-3)
assert whole.pseudo_data
temporary.cleanup()

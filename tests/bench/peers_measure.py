"""Rounds of measurement: one process, one CPU, one thread, sides in turn."""

from __future__ import annotations

import gc
import re
import statistics
from pathlib import Path
from typing import Protocol

import torch

from peers_check import check
from peers_csp import CspJob
from peers_reference import ReferenceJob
from peers_torch import FORMULATIONS, MAXIMUM_FIRST, Formulation, TorchJob
from peers_work import W1, W2, W3, W4, Layer, Work, make_layer

_MEGABYTE = 1 << 20


class Job(Protocol):
    """A side of a comparison."""

    name: str

    def run(self) -> float:
        """Do the work once; seconds."""


class Eviction:
    """Memory that pushes everything else out of the caches."""

    def __init__(self) -> None:
        path = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
        size = path.read_text() if path.exists() else ""
        found = re.match(r"(\d+)K", size)
        cache = int(found[1]) * 1024 if found else 32 * _MEGABYTE
        self._memory = torch.zeros(max(4 * cache, 128 * _MEGABYTE) // 4)

    def run(self) -> None:
        """Read and write it all."""
        self._memory.add_(1.0)


def rounds(jobs: list[Job], n: int,
           eviction: Eviction | None) -> list[list[float]]:
    """Times of each job, in turn; cold by eviction, else hot by a dry run."""
    times: list[list[float]] = [[] for _ in jobs]
    for job in jobs:
        job.run()
    gc.collect()
    gc.disable()
    for _ in range(n):
        for job, seconds in zip(jobs, times):
            if eviction:
                eviction.run()
            else:
                job.run()
            seconds.append(job.run())
    gc.enable()
    return times


def probe(seconds_each: float = 0.15) -> dict[str, dict[str, float]]:
    """Best time of every formulation on every workload, by index."""
    eviction = Eviction()
    best: dict[str, dict[str, float]] = {}
    for work in (W1, W3, W4):
        layer = make_layer(work)
        best[work.name] = {}
        for i, formulation in enumerate(FORMULATIONS):
            job = TorchJob(layer, formulation)
            n = max(3, min(20, int(seconds_each / job.run())))
            times = rounds([job], n, None if work is W1 else eviction)
            best[work.name][str(i)] = min(times[0])
    return best


# ---- The table ----

def _head() -> None:
    print(f"\n{'ms':8} {'':30} {'median':>9} {'min':>9} {'max':>9} "
          f"{'ratio':>7}")


def _rows(label: str, jobs: list[Job], times: list[list[float]]) -> float:
    """Print one row a side, libcsp last; the ratio of the best peer."""
    best = min(times[-1])
    for job, seconds in zip(jobs, times):
        ratio = min(seconds) / best
        print(f"{label:8} {job.name:30} "
              f"{statistics.median(seconds) * 1e3:9.3f} "
              f"{min(seconds) * 1e3:9.3f} {max(seconds) * 1e3:9.3f} "
              f"{ratio:7.2f}")
    return min(map(min, times[:-1])) / best


class Comparison:
    """All comparisons of a run."""

    def __init__(self, library: str,
                 best: dict[str, dict[str, float]]) -> None:
        self._library = library
        self._best = best
        self._eviction = Eviction()
        self._checks: list[str] = []

    def _fastest(self, work: Work, among: tuple[Formulation, ...]
                 ) -> Formulation:
        times = self._best[work.name]
        return min(among, key=lambda f: times[str(FORMULATIONS.index(f))])

    def _torch_jobs(self, layer: Layer) -> list[Job]:
        """Torch at its fastest, and at its fastest with the maximum first."""
        fastest = self._fastest(layer.work, FORMULATIONS)
        careful = self._fastest(layer.work, MAXIMUM_FIRST)
        both = [fastest] if fastest == careful else [fastest, careful]
        return [TorchJob(layer, formulation) for formulation in both]

    def _compare(self, layer: Layer, peers: list[Job], n: int,
                 label: str = "", hot: bool = False) -> float:
        csp = CspJob(self._library, layer)
        jobs = [*peers, csp]
        times = rounds(jobs, n, None if hot else self._eviction)
        self._checks += [check(csp, peer, layer) for peer in peers]
        return _rows(label or layer.work.name, jobs, times)

    def run(self) -> None:
        """Print the table and the figures."""
        _head()
        layer = make_layer(W1)
        self._compare(layer, self._torch_jobs(layer), 40, "W1 hot", hot=True)
        self._compare(layer, self._torch_jobs(layer), 40, "W1 cold")
        layer = make_layer(W3)
        self._compare(layer, self._torch_jobs(layer), 20)
        layer = make_layer(W4)
        w4 = self._compare(layer, self._torch_jobs(layer), 40)
        layer = make_layer(W2)
        w2 = self._compare(layer, [ReferenceJob(layer)], 8)
        print("\nratio: best time over libcsp's best; but for 'hot', caches "
              "are evicted before\neach run of either side\n")
        print("\n".join(dict.fromkeys(self._checks)))
        print(f"\nfigure w4_vs_torch {w4:.2f}")
        print(f"figure w2_vs_reference {w2:.1f}")

"""Compare libcsp with torch: peers.py LIBRARY, where that is libcsp_peers.so.

Both sides run in one process, in turn.  Torch looks at the environment when
it is loaded, so each thing to try is a process of its own: first which vector
unit and which formulation are torch's fastest here, then the comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

# A forced kernel or block size would slow torch's products down.
_UNWANTED = ("ATEN_CPU_CAPABILITY", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def _capabilities() -> list[str]:
    """Settings of torch's vector unit to try; '' is torch's own choice."""
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text().split() if cpu.exists() else []
    return ["", "avx512"] if "avx512f" in flags else [""]


def _environment(capability: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items()
                   if name not in _UNWANTED}
    environment.update({name: "1" for name in _ONE_THREAD})
    if capability:
        environment["ATEN_CPU_CAPABILITY"] = capability
    return environment


def _child(capability: str, arguments: list[str], **options):
    """Run this program again as one of its parts."""
    command = [sys.executable, "-B", __file__, *arguments]
    return subprocess.run(command, check=True,
                          env=_environment(capability), **options)


def _probe(capability: str) -> dict[str, dict[str, float]]:
    run = _child(capability, ["--probe"], stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout)


def _drive(library: str) -> None:
    """Find torch's best setting, then compare."""
    found = {capability: _probe(capability)
             for capability in _capabilities()}
    fastest = {name: min(times["W4"].values())
               for name, times in found.items()}
    best = min(fastest, key=fastest.__getitem__)
    print("torch's fastest W4 by vector unit: " + ", ".join(
        f"{name or 'default'} {seconds * 1e3:.3f} ms"
        for name, seconds in fastest.items()), flush=True)
    _child(best, [library, "--best", json.dumps(found[best])])


# ---- The parts, each in a process of its own ----

def _pin() -> int:
    """Stay on one CPU."""
    if not hasattr(os, "sched_setaffinity"):
        return -1
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


def _blas() -> str:
    """The BLAS in this process, as its file is called."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().split() if maps.exists() else []
    found = {"/".join(Path(line).parts[-2:]) for line in lines
             if "blas" in Path(line).name}
    return ", ".join(sorted(found)) or "built in"


def _start():
    """Load torch for measuring."""
    cpu = _pin()
    import torch
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    return torch, cpu


def _part_probe() -> None:
    _start()
    from peers_measure import probe
    json.dump(probe(), sys.stdout)


def _part_compare(library: str, best: dict[str, dict[str, float]]) -> None:
    torch, cpu = _start()
    from peers_measure import Comparison
    from peers_torch import FORMULATIONS
    capability = os.environ.get("ATEN_CPU_CAPABILITY", "default")
    print(f"torch {torch.__version__}, vector unit {capability}, "
          f"BLAS {_blas()}; 1 thread on CPU {cpu}\n")
    print(f"{'torch, best ms of each formulation':39}"
          + "".join(f"{name:>9}" for name in best))
    for i, formulation in enumerate(FORMULATIONS):
        print(f"{str(formulation):39}" + "".join(
            f"{times[str(i)] * 1e3:9.3f}" for times in best.values()))
    Comparison(library, best).run()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Compare libcsp with torch.")
    parser.add_argument("library", nargs="?", help="libcsp_peers.so")
    parser.add_argument("--probe", action="store_true",
                        help=argparse.SUPPRESS)
    parser.add_argument("--best", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.probe:
        _part_probe()
    elif arguments.library is None:
        parser.error("which library?")
    elif arguments.best:
        _part_compare(arguments.library, json.loads(arguments.best))
    else:
        _drive(arguments.library)


if __name__ == "__main__":
    main()

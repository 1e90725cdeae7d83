"""How long until the agent is ready, and what it takes until then: for the first time, and when it knows its rules.

Starts are interleaved. The control is what Python takes to import the same modules and do nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from bench.processes import STOP_S, cpu_ns, free_port, memory_kib
from bench.rulesets import rules_called
from firstseen.shelf import NAME
from support.agent import FIRSTSEEN, write_config

ROUNDS = 9

Start = tuple[float, float, float]
"""Seconds until it was ready, seconds of CPU until then, MiB that it had then."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", default="one,many", help="sets of rules, as for bench.flow")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        starts: dict[str, Callable[[], Start]] = {"imports alone": _imports}
        for name in arguments.rules.split(","):
            rules = rules_called(name, Path(folder))
            starts[f"{name}, the first time"] = partial(
                _start, _configured(Path(folder, f"{name}-new"), rules), new=True
            )
            starts[f"{name}, again"] = partial(_start, _configured(Path(folder, f"{name}-old"), rules), new=False)
        for start in starts.values():
            start()
        told = [{name: start() for name, start in starts.items()} for _ in range(arguments.rounds)]
    _print(told[0], {name: [each[name] for each in told] for name in starts})


def _print(names: Mapping[str, Start], told: Mapping[str, list[Start]]) -> None:
    print(f"{'':>28}  {'ready, s':>20}  {'CPU, s':>20}  {'by imports':>10}  {'MiB':>5}")
    imports = [cpu for _, cpu, _ in told["imports alone"]]
    for name in names:
        wall, cpu, mib = zip(*told[name], strict=True)
        by = median(each / control for each, control in zip(cpu, imports, strict=True))
        print(f"{name:>28}  {_spread(wall):>20}  {_spread(cpu):>20}  {by:>10.1f}  {max(mib):>5.1f}")


def _spread(values: tuple[float, ...]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _configured(folder: Path, rules: Path) -> Path:
    folder.mkdir()
    return write_config(
        folder / "firstseen.toml", downstream=f"127.0.0.1:{free_port()}", state=folder / "state", rules=rules
    )


def _start(config: Path, *, new: bool) -> Start:
    state = config.parent / "state"
    if new:
        shutil.rmtree(state, ignore_errors=True)
    begun = time.perf_counter()
    with subprocess.Popen([FIRSTSEEN, "run", "--config", config], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b'"ready"' in line:
                break
        found = time.perf_counter() - begun, cpu_ns(process.pid) / 1e9, memory_kib(process.pid)[0] / 1024
        until = time.monotonic() + STOP_S
        while not (state / NAME).exists():  # where it is, it has been written, or need not be
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{FIRSTSEEN} run --config {config} does not keep its rules")
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    return found


_IMPORTS = """
import gc
gc.disable()  # as the agent does
import firstseen.daemon
print(open("/proc/self/status").read().partition("VmRSS:")[2].split()[0])
"""


def _imports() -> Start:
    begun, before = time.perf_counter(), os.times()
    out = subprocess.run([sys.executable, "-c", _IMPORTS], check=True, capture_output=True, text=True).stdout
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begun, cpu, int(out) / 1024


if __name__ == "__main__":
    main()

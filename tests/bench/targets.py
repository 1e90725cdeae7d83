"""What the benchmark sends through: agents, bare TCP relays, and Fluent Bit with and without the first rule in Lua."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import free_port, relay, relays
from bench.rulesets import rules_called
from support.agent import AgentProcess, write_config

FLUENT_BITS = ("fluent-bit", "fluent-bit lua")
STOP_S = 10.0

_LUA = """
local seen = {}
function first_seen(tag, timestamp, record)
  if record["eventName"] ~= "GetCallerIdentity" or record["eventSource"] ~= "sts.amazonaws.com" then return 0, 0, 0 end
  local arn = (record["userIdentity"] or {})["arn"]
  if arn == nil or seen[arn] then return 0, 0, 0 end
  seen[arn] = true
  record["alert"] = "first seen: " .. arn
  return 2, timestamp, record
end
"""


@dataclass(frozen=True)
class Target:
    """A process that what is sent goes through. ``agent`` is it, where it is one of ours.

    One that does not ``chain`` acknowledges what it has, and not what it has delivered.
    """

    name: str
    pid: int
    port: int
    agent: AgentProcess | None = None
    chains: bool = True


@contextmanager
def targets(rules: Sequence[str], downstream: int, folder: Path, *, fluent_bit: bool) -> Iterator[list[Target]]:
    """An agent for each of the ``rules``, and beside them all else that is installed here."""
    with ExitStack() as stack:
        found = [_agent(stack, name, downstream, folder) for name in rules]
        for name in relays():
            found.append(Target(name, *stack.enter_context(relay(name, downstream, folder))))
        for name in FLUENT_BITS if fluent_bit and shutil.which("fluent-bit") else ():
            found.append(stack.enter_context(_fluent_bit(name, downstream, folder)))
        yield found


def _agent(stack: ExitStack, name: str, downstream: int, folder: Path) -> Target:
    short = Path(name).name
    config = write_config(
        folder / f"{short}.toml",
        downstream=f"127.0.0.1:{downstream}",
        state=folder / f"state-{short}",
        rules=rules_called(name, folder),
    )
    agent = stack.enter_context(AgentProcess(config))
    return Target(f"firstseen {short}", agent.pid, agent.port, agent)


@contextmanager
def _fluent_bit(name: str, downstream: int, folder: Path) -> Iterator[Target]:
    """Forward in and out, acknowledged on both sides, quick to flush, and else as it comes."""
    port = free_port()
    pipeline: dict[str, object] = {
        "inputs": [{"name": "forward", "listen": "127.0.0.1", "port": port, "buffer_max_size": "16M"}],
        "outputs": [
            {
                "name": "forward",
                "match": "*",
                "host": "127.0.0.1",
                "port": downstream,
                "require_ack_response": True,
                "retry_limit": "no_limits",
            }
        ],
    }
    if "lua" in name:
        script = folder / "first_seen.lua"
        script.write_text(_LUA)
        pipeline["filters"] = [{"name": "lua", "match": "*", "script": str(script), "call": "first_seen"}]
    config = folder / f"{name.replace(' ', '-')}.yaml"
    config.write_text(json.dumps({"service": {"flush": 0.2, "grace": 1, "log_level": "error"}, "pipeline": pipeline}))
    process = subprocess.Popen(["fluent-bit", "-q", "-c", str(config)], stdin=subprocess.DEVNULL)
    try:
        yield Target(name, process.pid, port, chains=False)
    finally:
        process.terminate()
        process.wait(STOP_S)

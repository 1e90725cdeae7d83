"""A Dockerfile, read and carried out in directories: one for each stage, laid out from an archive of a system.

It knows what the project's own file has: FROM, ARG, WORKDIR, COPY, RUN, ENV, USER, and what only says how to run it.
There is no cache, no layer and no isolation but that of chroot: it shows that the steps work, and not what an engine
makes of them.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CHROOT = shutil.which("chroot") or "chroot"
"""By its path: the environment that it is run with is not this one's."""


@dataclass(slots=True)
class Stage:
    """What a stage came to: its ``folder``, and how what is in it runs."""

    name: str
    folder: Path
    directory: str = "/"
    user: str = "0:0"
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=dict)

    def chroot(self, *command: str) -> list[str]:
        """A command line that runs ``command`` in the stage, as its user."""
        return [CHROOT, f"--userspec={self.user}", "--groups=", str(self.folder), *command]


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction with its arguments, on one line."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def carry_out(
    text: str, context: Path, system: Path, folder: Path, extra: Mapping[str, str], arguments: Mapping[str, str]
) -> Stage:
    """The last stage. ``extra`` is what RUN has in its environment besides; all begin as ``system``, an archive.

    ``arguments`` are those of the build; one that the stage has not asked for is not there.
    """
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for number, (name, rest) in enumerate(instructions(text)):
        if name == "FROM":
            called = rest.partition(" AS ")[2] or f"stage-{number}"
            stage = stages[called] = Stage(called, folder / called)
            stage.folder.mkdir(parents=True)
            subprocess.run(["tar", "-C", str(stage.folder), "-xf", str(system)], check=True)
            (stage.folder / "usr/local/bin").mkdir(parents=True, exist_ok=True)
            (stage.folder / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        elif stage is None:
            assert name == "ARG"  # which system it begins with is not ours to choose
        elif name == "ARG":
            key, _, default = rest.partition("=")
            stage.arguments[key] = arguments.get(key, default)
        else:
            _step(stage, name, rest, context, stages, extra)
    assert stage is not None
    return stage


def _step(
    stage: Stage, name: str, rest: str, context: Path, stages: Mapping[str, Stage], extra: Mapping[str, str]
) -> None:
    if name == "WORKDIR":
        stage.directory = rest
        (stage.folder / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif name == "COPY":
        _copy(stage, rest, context, stages)
    elif name == "RUN":
        script = f"cd {shlex.quote(stage.directory)} && {rest}"
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root", **stage.environment, **extra}
        environment |= stage.arguments
        command = [CHROOT, str(stage.folder), "/bin/sh", "-ec", script]
        subprocess.run(command, check=True, env=environment)
    elif name == "ENV":
        for pair in shlex.split(rest):
            key, _, value = pair.partition("=")
            stage.environment[key] = value.replace("$PATH", "/usr/local/bin:/usr/bin:/bin")
    elif name == "USER":
        stage.user = rest
    elif name == "ENTRYPOINT":
        stage.entrypoint = json.loads(rest)
    elif name == "CMD":
        stage.command = json.loads(rest)
    elif name == "HEALTHCHECK":
        stage.health = json.loads(rest.partition(" CMD ")[2])
    elif name in ("LABEL", "VOLUME", "EXPOSE", "STOPSIGNAL"):
        filled = re.sub(r"\$\{(\w+)\}", lambda found: stage.arguments[found[1]], rest)
        stage.others[name] = [*stage.others.get(name, ()), *shlex.split(filled)]
    else:
        raise AssertionError(f"{name} is not known here")


def _copy(stage: Stage, rest: str, context: Path, stages: Mapping[str, Stage]) -> None:
    words = rest.split()
    options = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--"))
    *sources, target = [word for word in words if not word.startswith("--")]
    base = stages[options["from"]].folder if "from" in options else context
    place = stage.folder / (target if target.startswith("/") else f"{stage.directory}/{target}").lstrip("/")
    for source in sources:
        origin = base / source.lstrip("/")
        destination = place / origin.name if target.endswith("/") else place
        destination.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, destination, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(origin, destination)
        if "chmod" in options:
            destination.chmod(int(options["chmod"], 8))
        if "chown" in options:
            subprocess.run(["chown", "-R", options["chown"], str(destination)], check=True)

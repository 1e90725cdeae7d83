"""A Debian in a folder, in which the package is installed: what is run there, and by whom."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from support.agent import AgentProcess

CONFIG = Path("etc/firstseen/firstseen.toml")


class Machine:
    """The system in ``folder``, and who is told what in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            ["chroot", str(self.folder), *command],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def install(self, package: Path) -> None:
        shutil.copy(package, self.folder / "package.deb")
        self.run("dpkg", "--force-confdef", "--force-confold", "--install", "/package.deb")
        (self.folder / "package.deb").unlink()

    def lend(self, program: str) -> None:
        """Lets it have a program of this machine, with the libraries that it does not have itself."""
        path = shutil.which(program)
        assert path is not None
        lent = self.folder / "opt/lent"
        lent.mkdir(parents=True)
        shutil.copy(path, lent / program)
        needed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for library in map(Path, re.findall(r"(?<= )/\S+", needed)):
            if not (self.folder / library.relative_to("/")).exists():
                shutil.copy(library, lent / library.name)
        wrapper = self.folder / "usr/local/bin" / program
        wrapper.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH=/opt/lent exec /opt/lent/{program} "$@"\n')
        wrapper.chmod(0o755)

    def owner(self, path: str) -> str:
        return self.run("stat", "--format=%U:%G %a", path).strip()

    def agent(self) -> AgentProcess:
        """The unit's command line, as the unit's user, with no service manager."""
        unit = (self.folder / "usr/lib/systemd/system/firstseen.service").read_text()
        setting = dict(re.findall(r"^(User|Group|ExecStart|Environment)=(.*)$", unit, re.MULTILINE))
        assert setting["ExecStart"] == "/usr/bin/firstseen run -c ${FIRSTSEEN_CONFIG}"
        assert setting["Environment"] == f"FIRSTSEEN_CONFIG=/{CONFIG}"
        who = [f"--userspec={setting['User']}:{setting['Group']}", f"--groups={setting['Group']}"]
        program = Path("/usr/bin/firstseen")
        self.run(
            *("setpriv", "--reuid=firstseen", "--regid=firstseen", "--init-groups"),
            str(program),
            "validate",
            "-c",
            f"/{CONFIG}",
        )
        return AgentProcess(Path("/") / CONFIG, through=["chroot", *who, str(self.folder)], program=program)

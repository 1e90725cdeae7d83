"""Runs a command as the shipped unit would: under its system call filter, and with memory that is written or executed.

    python -m support.confined COMMAND...

The filter is the unit's own, its groups resolved by systemd-analyze, and laid on by libseccomp.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

UNIT = Path(__file__).parents[2] / "packaging/systemd/firstseen.service"

PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE = 65
MDWE_REFUSE_EXEC_GAIN = 1
ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
NO_SUCH_CALL = -1  # __NR_SCMP_ERROR: of another architecture


def filtered(unit: str) -> set[str]:
    """The names of the system calls that the text of a unit allows."""
    allowed: set[str] = set()
    for line in unit.splitlines():
        if line.startswith("SystemCallFilter="):
            names = line.partition("=")[2]
            calls = {call for name in names.removeprefix("~").split() for call in group(name)}
            allowed = allowed - calls if names.startswith("~") else allowed | calls
    return allowed


def group(name: str) -> set[str]:
    """The system calls of a group, those of the groups in it among them."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "syscall-filter", name]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    members = [line.strip() for line in told.splitlines()[1:]]
    return {call for member in members if member and not member.startswith("#") for call in group(member)}


def confine() -> None:
    """From here on for this process, and what it executes. Raises `OSError` where the system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl {option}")
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))
    # systemd lets a service have these whatever its filter says: it must get as far as its program.
    for name in filtered(UNIT.read_text()) | {"execve", "exit", "exit_group", "rt_sigreturn", "sigreturn"}:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number != NO_SUCH_CALL:
            seccomp.seccomp_rule_add(context, ALLOW, number, 0)
    code = seccomp.seccomp_load(context)
    if code:
        raise OSError(-code, "seccomp_load")


if __name__ == "__main__":
    confine()
    os.execvp(sys.argv[1], sys.argv[1:])

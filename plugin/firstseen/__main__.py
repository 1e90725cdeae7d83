"""Where the process begins: the ``firstseen`` command, which is ``python -m firstseen`` too."""

import os
import signal
import sys


def main() -> None:
    """Import the command and run it; who interrupts the import ends the process by the signal, without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is passed over, as in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a subcommand is there
    _have_standard_streams()
    from firstseen import cli

    cli.main(prog_name="firstseen")


def _have_standard_streams() -> None:
    """Put /dev/null where one was closed: else a socket or the state would take its number, and what is printed."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    main()

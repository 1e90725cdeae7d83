"""Where the process begins: the ``firstseen`` command, which is ``python -m firstseen`` too."""

import signal


def main() -> None:
    """Import the command and run it; who interrupts the import ends the process by the signal, without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is passed over, as in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a subcommand is there
    from firstseen import cli

    cli.main(prog_name="firstseen")


if __name__ == "__main__":
    main()

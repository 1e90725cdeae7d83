"""``python -m firstseen`` is the ``firstseen`` command."""

from firstseen.cli import main

main(prog_name="firstseen")

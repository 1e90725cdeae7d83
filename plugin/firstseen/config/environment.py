"""Environment variables in strings: ``${NAME}``, ``${NAME:-text}``, and ``$$`` for a dollar sign."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<else>:-(?P<default>[^{}]*))?\}|(?P<open>\{))")


class UnsetError(ValueError):
    """A variable is not set; says which."""


def expanded(value: object, environ: Mapping[str, str]) -> object:
    """``value`` with the variables that its strings refer to; what a variable holds is not expanded again.

    Raises `ValueError` for a reference that is none: for a variable that is not set and has no default, `UnsetError`.
    """
    if isinstance(value, list):
        return [expanded(each, environ) for each in value]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        if match["open"]:
            raise ValueError('expected ${NAME} or ${NAME:-text}; write "$${" for a dollar sign and a brace')
        if name is None:
            return "$"
        if match["else"]:
            return environ.get(name) or match["default"]
        if name not in environ:
            raise UnsetError(f"the environment variable {name} is not set, and ${{{name}:-text}} gives a default")
        return environ[name]

    return _REFERENCE.sub(replacement, value)

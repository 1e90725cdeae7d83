"""Every setting as a text, to tell two configurations apart; which of them the agent takes at a reload, and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from firstseen.config.kinds import table_of
from firstseen.config.secret import Secret, SecretFile
from firstseen.config.section import Section
from firstseen.config.sections import SECTIONS, Config, Output
from firstseen.config.sources import Sources
from firstseen.stateurl import StateUrl

AT_RELOAD: Final = frozenset(
    (
        "rules.paths",
        "rules.exceptions",
        "rules.learning",
        "rules.shadow",
        "state.map_size",
        "state.learning_period",
        "geoip.city",
        "geoip.asn",
        "geoip.copy",
        "input.tls.cert",
        "input.tls.key",
        "input.tls.client_ca",
        "output.tls.ca",
        "output.tls.cert",
        "output.tls.key",
        "output.tls.verify",
        "http.tls.cert",
        "http.tls.key",
        "http.tls.client_ca",
        "log.level",
        "log.format",
    )
)
"""Settings that are taken at a reload; all others wait for a restart.

Those of TLS are taken where it is spoken before and after: who begins to speak it, or stops, does so with a restart.
"""


def written(config: Config) -> Mapping[str, str]:
    """The text of every setting by its name, with its default where it is left out; of secrets, a digest.

    What is different is different here, and nothing else is.
    """
    texts: dict[str, str] = {}
    for name in SECTIONS:
        section = getattr(config, name)
        if isinstance(section, Sources):
            texts[name] = _text(section.views)
        else:
            texts.update(_settings(section, name))
    return texts


def taken(before: Config, after: Config) -> Config:
    """``before`` with what is taken at a reload as it is ``after``."""
    given, shown, output = before.input, before.http, before.output
    if given.tls.cert and after.input.tls.cert:
        given = replace(given, tls=after.input.tls)
    if shown.tls.cert and after.http.tls.cert:
        shown = replace(shown, tls=after.http.tls)
    if _speaks_tls(output) and _speaks_tls(after.output):
        output = replace(output, tls=replace(after.output.tls, server_name=output.tls.server_name))
    state = replace(before.state, map_size=after.state.map_size, learning_period=after.state.learning_period)
    log = replace(before.log, level=after.log.level, format=after.log.format)
    sides = {"input": given, "output": output, "http": shown}
    return replace(before, rules=after.rules, geoip=after.geoip, log=log, state=state, **sides)


def _speaks_tls(output: Output) -> bool:
    return any(server.address.tls for server in (*output.servers, *output.standby))


def _settings(section: Section, prefix: str) -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        if table_of(field.type):
            yield from _settings(value, f"{prefix}.{field.name}")
        else:
            yield f"{prefix}.{field.name}", _text(value)


def _text(value: object) -> str:
    return json.dumps(msgspec.to_builtins(value, enc_hook=_plain))


def _plain(value: Any) -> object:
    if isinstance(value, Secret | SecretFile):
        path = str(value.path) if isinstance(value, SecretFile) else ""
        return [path, hashlib.sha256(value.bytes).hexdigest()]
    if isinstance(value, StateUrl) and value.password is not None:
        return [str(value), hashlib.sha256(value.password.encode()).hexdigest()]
    return str(value)

"""Settings that are fine alone and do not go together."""

from __future__ import annotations

import operator
import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import combinations

from firstseen.config.manual import settings
from firstseen.config.sections import Config, Input, Log, Output
from firstseen.config.state import State, StateSentinel, StateTls
from firstseen.config.tables import ClientTls, ServerTls
from firstseen.notation import Duration, Endpoint, Size

SHORTEST_LEASE = Duration("1s")
"""An alert takes this long to be delivered when a server is slow."""

_LOOPBACK: Mapping[int, IPv4Address | IPv6Address] = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}

_LISTENING_EVERYWHERE: Mapping[int, IPv4Address | IPv6Address] = {4: IPv4Address(0), 6: IPv6Address(0)}

SMALLEST_MAP = Size("256KiB")
"""Less has no room for the histories of some hundred rules, which are written at the start."""

LARGEST_MAP = Size("16384GiB")
"""A file of ext4 is no larger, and 47 bits of addresses have room for it twice, as when it is written anew."""

Fault = tuple[Sequence[str], str]
"""The names of settings, the one to be changed first, and what is wrong between them."""

SHORTEST_IDLE = Duration("30s")
"""After this time Fluent Bit closes idle connections itself (``net.keepalive_idle_timeout``)."""

SHORTEST_TOKEN = 16
"""Bytes of a token that nobody guesses."""

SMALLEST_FRAME = Size("64KiB")
"""Messages that are cut into smaller ones than this are mostly overhead, and what clients send is mostly larger."""


def faults(config: Config) -> Iterator[Fault]:
    """Every fault between settings of ``config``, each of which is a value of its type."""
    yield from _too_little(config)
    yield from _input(config.input)
    yield from _output(config.output)
    yield from _state(config.state)
    yield from _loops(config)
    yield from _http(config)
    yield from _log(config)


def _too_little(config: Config) -> Iterator[Fault]:
    for setting in settings():
        if "*" not in setting.key:
            value = operator.attrgetter(setting.name)(config)
            if isinstance(value, Size) and not value.bytes:
                yield [setting.name], "must be more than nothing"
    for name in ("input.frame_timeout", "output.ack_timeout"):
        if not operator.attrgetter(name)(config).ms:
            yield [name], "must be more than no time"
    if 0 < config.input.idle_timeout.ms <= SHORTEST_IDLE.ms:
        what = f"must be 0s or longer than {SHORTEST_IDLE}, when Fluent Bit closes idle connections itself"
        yield ["input.idle_timeout"], what
    for name in ("input.max_frame", "output.max_frame"):
        if 0 < operator.attrgetter(name)(config).bytes < SMALLEST_FRAME.bytes:
            yield [name], f"must be at least {SMALLEST_FRAME}"


def _input(given: Input) -> Iterator[Fault]:
    if given.max_frame.bytes > given.max_in_flight.bytes:
        what = f"must not be larger than input.max_in_flight, which is {given.max_in_flight}"
        yield ["input.max_frame", "input.max_in_flight"], what
    fixed = [endpoint.place for endpoint in given.listen if endpoint.port or endpoint.path]
    for twice in sorted({str(endpoint) for endpoint in given.listen if fixed.count(endpoint.place) > 1}):
        yield ["input.listen"], f"{twice} is listed twice"
    for one, other in combinations(given.listen, 2):
        if one.place != other.place and _collide(one, other):
            yield ["input.listen"], f"of {one} and {other} only one can be listened on"
    yield from _one_secret("input.shared_key", given.shared_key, given.shared_key_file)
    if given.users and given.key is None:
        yield ["input.users", "input.shared_key", "input.shared_key_file"], "needs a shared_key"
    names = [user.name for user in given.users]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield ["input.users"], f'the name "{name}" is given twice'
    secured = [endpoint for endpoint in given.listen if endpoint.tls]
    if secured and given.tls.cert is None:
        yield ["input.listen", "input.tls"], f"{secured[0]} needs input.tls.cert and input.tls.key"
    if not secured and given.tls != ServerTls():
        yield ["input.tls", "input.listen"], 'has no use: nothing in input.listen starts with "tls://"'


def _output(taken: Output) -> Iterator[Fault]:
    seen = set()
    for name in ("output.servers", "output.standby"):
        for server in operator.attrgetter(name.removeprefix("output."))(taken):
            address = server.address
            if not address.port and address.path is None:
                yield [name], f'a server has a port from 1 to 65535, got "{address}"'
            elif address.place in seen:
                yield [name, "output.servers"], f"{address} is listed twice"
            seen.add(address.place)
    yield from _one_secret("output.shared_key", taken.shared_key, taken.shared_key_file)
    yield from _one_secret("output.password", taken.password, taken.password_file)
    if taken.username and taken.key is None:
        yield ["output.username", "output.shared_key", "output.shared_key_file"], "needs a shared_key"
    if taken.secret and not taken.username:
        given = "output.password" if taken.password else "output.password_file"
        yield [given, "output.username"], "needs a username"
    if taken.tls != ClientTls() and not any(server.address.tls for server in (*taken.servers, *taken.standby)):
        what = 'has no use: nothing in output.servers and output.standby starts with "tls://"'
        yield ["output.tls", "output.servers", "output.standby"], what


def _state(state: State) -> Iterator[Fault]:
    if 0 < state.map_size.bytes < SMALLEST_MAP.bytes:
        yield ["state.map_size"], f"must be at least {SMALLEST_MAP}"
    if state.map_size.bytes > LARGEST_MAP.bytes:
        yield ["state.map_size"], f"must be at most {LARGEST_MAP}"
    yield from _one_secret("state.password", state.password, state.password_file)
    yield from _one_secret("state.sentinel.password", state.sentinel.password, state.sentinel.password_file)
    if state.url is None:
        for name in ("prefix", "username", "password", "password_file", "lease", "when_away", "tls", "sentinel"):
            if getattr(state, name) != getattr(State(), name):
                yield [f"state.{name}", "state.url"], "has no use without state.url"
    elif not state.url.tls and state.tls != StateTls():
        yield ["state.tls", "state.url"], "has no use: state.url does not begin with rediss"
    if state.url is not None and state.url.kind != "sentinel" and state.sentinel != StateSentinel():
        yield ["state.sentinel", "state.url"], "has no use: state.url does not name Sentinels"
    if state.url is not None and state.lease.ms < SHORTEST_LEASE.ms:
        yield ["state.lease"], f"must be at least {SHORTEST_LEASE}"


def _one_secret(name: str, written: object, file: object) -> Iterator[Fault]:
    if written is not None and file is not None:
        yield [f"{name}_file", name], f"{name} is given as well"


def _loops(config: Config) -> Iterator[Fault]:
    for name in ("output.servers", "output.standby"):
        for server in operator.attrgetter(name)(config):
            yield from _to_itself(config, name, server.address)


def _to_itself(config: Config, name: str, server: Endpoint) -> Iterator[Fault]:
    """Whether ``server``, which the setting ``name`` has, is this agent: what it is sent would come back for ever."""
    own = [("input.listen", endpoint) for endpoint in config.input.listen]
    if config.http.listen is not None:
        own.append(("http.listen", config.http.listen))
    setting = next((setting for setting, listening in own if _reaches(server, listening)), None)
    if setting is not None:
        yield [name, setting], f"{server} is where this agent listens itself"


def _http(config: Config) -> Iterator[Fault]:
    given = config.http
    yield from _one_secret("http.token", given.token, given.token_file)
    if given.secret is not None and len(given.secret) < SHORTEST_TOKEN:
        setting = "http.token" if given.token else "http.token_file"
        yield [setting], f"must have at least {SHORTEST_TOKEN} characters, for nobody to guess it"
    listen = given.listen
    secured = listen is not None and listen.tls
    if secured and given.tls.cert is None:
        yield ["http.listen", "http.tls"], f"{listen} needs http.tls.cert and http.tls.key"
    if not secured and given.tls != ServerTls():
        yield ["http.tls", "http.listen"], 'has no use: http.listen does not start with "tls://"'
    if listen is None:
        return
    if not (listen.is_local or given.secret or given.tls.client_ca):
        what = (
            f"{listen} can be reached from beyond this machine, and whoever does could read who was seen: set"
            " http.token_file, or http.tls.client_ca, or listen on 127.0.0.1"
        )
        yield ["http.listen", "http.token", "http.token_file", "http.tls"], what
    if any(_collide(listen, endpoint) for endpoint in config.input.listen):
        yield ["http.listen", "input.listen"], f"{listen} is where records come in"


def _log(config: Config) -> Iterator[Fault]:
    given, default = config.log, Log()
    server = given.forward
    if server is None:
        for name in ("forward_tag", "forward_level"):
            if getattr(given, name) != getattr(default, name):
                yield [f"log.{name}", "log.forward"], "has no use without log.forward"
        return
    if ":" in server.host:
        yield ["log.forward"], f"expected a server at a name or an IPv4 address, got {server}"
    elif not server.port and server.path is None:
        yield ["log.forward"], f'a server has a port from 1 to 65535, got "{server}"'
    yield from _to_itself(config, "log.forward", server)


def _reaches(server: Endpoint, listening: Endpoint) -> bool:
    """Whether connecting to ``server`` gets to what listens at ``listening``, as far as no name has to be asked for."""
    if _are_alike(server, listening):
        return True
    if not _share_a_port(server, listening):
        return False
    there = _addresses(listening.host)
    for address in _addresses(server.host):
        # To connect to no address in particular is to connect to this machine.
        target = _LOOPBACK[address.version] if address.is_unspecified else address
        if target in there or (_LISTENING_EVERYWHERE[target.version] in there and _is_here(target)):
            return True
    return False


def _collide(one: Endpoint, other: Endpoint) -> bool:
    """Whether only one of the two can be listened on, as far as that is sure without asking for a name."""
    if _are_alike(one, other):
        return True
    return _share_a_port(one, other) and any(
        here == there or (here.version == there.version and (here.is_unspecified or there.is_unspecified))
        for here in _surely(one.host)
        for there in _surely(other.host)
    )


def _are_alike(one: Endpoint, other: Endpoint) -> bool:
    """Whether they are written alike, or are one Unix socket, by whatever links and dots."""
    if one.path is not None and other.path is not None:
        return os.path.realpath(one.path) == os.path.realpath(other.path)
    return _share_a_port(one, other) and one.host.lower() == other.host.lower()


def _share_a_port(one: Endpoint, other: Endpoint) -> bool:
    """Whether both have the same port; port 0 is another one each time."""
    return one.path is None and other.path is None and one.port == other.port != 0


def _surely(host: str) -> Collection[IPv4Address | IPv6Address]:
    """The addresses of `_addresses`; localhost is not ::1 everywhere."""
    return [_LOOPBACK[4]] if host.lower() == "localhost" else _addresses(host)


def _addresses(host: str) -> Collection[IPv4Address | IPv6Address]:
    """What is written as an address, such as 127.1, or is localhost; of other names nobody is asked."""
    if host.lower() == "localhost":
        return list(_LOOPBACK.values())
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return []
    return [_unmapped(ip_address(address[0])) for *_, address in found]


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that ``::ffff:127.0.0.1`` is another spelling of."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_here(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is one of this machine's."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as bound:
            bound.bind((str(address), 0))
    except OSError:
        return False
    return True

"""The sections of the configuration: every setting, once, with its type, its default and its description.

Under a setting that may be left empty, None stands for "". A ``title`` says in words what its type alone does not.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from firstseen.config.secret import Secret, SecretFile, either
from firstseen.config.section import Section
from firstseen.config.sources import Sources
from firstseen.config.state import State
from firstseen.config.tables import ClientTls, Server, ServerTls, User
from firstseen.notation import Duration, Endpoint, HostName, Mode, PlainEndpoint, Size, Until


class Input(Section, frozen=True, kw_only=True):
    """Where records come from: the agent is a Forward server."""

    listen: Annotated[
        tuple[Endpoint, ...],
        Meta(
            min_length=1,
            description='Where to listen: "host:port", "tls://host:port" or "unix:/path". Port 0 takes a free port.',
        ),
    ] = (Endpoint("127.0.0.1:24225"),)
    unix_mode: Annotated[Mode, Meta(description="Mode of Unix sockets: who may connect.")] = Mode("0660")
    max_frame: Annotated[
        Size,
        Meta(description="Largest message from a client, at least 64KiB. One that is larger closes its connection."),
    ] = Size("16MiB")
    max_decompressed: Annotated[
        Size, Meta(description="Largest content of a compressed message, inflated. One that is larger is refused.")
    ] = Size("64MiB")
    max_in_flight: Annotated[
        Size,
        Meta(
            description="Bytes that were received and are not yet delivered, over all connections. At this limit"
            " reading stops until something is delivered."
        ),
    ] = Size("64MiB")
    frame_timeout: Annotated[
        Duration,
        Meta(
            description="How long a message, a handshake or a TLS negotiation that has begun may stand still, and how"
            " long acknowledgements may not be read, before the connection is closed."
        ),
    ] = Duration("30s")
    idle_timeout: Annotated[
        Duration,
        Meta(
            description="How long a connection may be silent between messages; 0s is for ever, and dead clients are"
            " then found by TCP keepalive. Anything else must be longer than 30s, after which Fluent Bit closes its"
            " idle connections itself: clients without acks lose a record to a connection that is closed under them."
        ),
    ] = Duration("0s")
    drain_timeout: Annotated[
        Duration,
        Meta(description="How long a stopping agent waits until what it received is delivered and acknowledged."),
    ] = Duration("30s")
    repeat_window: Annotated[
        Duration,
        Meta(
            description="A message with the same client, tag and chunk id as one that was delivered this short a while"
            " ago is acknowledged again and not delivered twice. 0s turns it off."
        ),
    ] = Duration("2m")
    udp_heartbeat: Annotated[
        bool, Meta(description="Answer Fluentd's UDP heartbeats, on the ports that are listened on.")
    ] = False
    quarantine: Annotated[
        Path | None,
        Meta(description="Directory that keeps messages that cannot be read. Empty refuses them."),
    ] = None
    quarantine_size: Annotated[
        Size, Meta(description="Most that this directory may hold. When it is full, such messages are refused.")
    ] = Size("256MiB")
    shared_key: Annotated[
        Secret | None, Meta(description="Key that clients must know: turns the handshake on. Empty asks for none.")
    ] = None
    shared_key_file: Annotated[SecretFile | None, Meta(description="File that holds this key, instead.")] = None
    self_hostname: Annotated[
        str,
        Meta(
            pattern=r"\A[ -~]{0,128}\Z",
            title="at most 128 ASCII characters",
            description="What the agent calls itself in handshakes, with clients and with servers. It must differ from"
            " their names: an agent, as Fluentd, refuses a server that has the name it has itself. Empty is"
            ' "firstseen@" and the name of the machine; of two agents on one machine, one behind the other, give one a'
            " name.",
        ),
    ] = ""
    users: Annotated[
        tuple[User, ...],
        Meta(
            description='Clients must be one of these users, {name = "...", password_file = "..."} each, or with the'
            " password itself as password. Empty asks for no user."
        ),
    ] = ()
    tls: ServerTls = ServerTls()

    @property
    def own_name(self) -> str:
        """What the agent calls itself. Peers may have the machine's name for themselves, so it is not that alone."""
        return self.self_hostname or f"firstseen@{socket.gethostname()}"

    @property
    def key(self) -> bytes | None:
        """The shared key, wherever it is; None where there is no handshake."""
        return either(self.shared_key, self.shared_key_file)

    @property
    def passwords(self) -> Mapping[str, bytes]:
        """The password of each user; empty where anybody with the key may connect."""
        return MappingProxyType({user.name: user.secret for user in self.users})


class Output(Section, frozen=True, kw_only=True):
    """Where records go: the agent is a Forward client."""

    servers: Annotated[
        tuple[Server, ...],
        Meta(
            min_length=1,
            description='Servers to deliver to, in turns: "host:port", "tls://host:port" or "unix:/path". {address ='
            ' "...", entries = "v1"} is one that is sent entries without metadata, as Fluentd wants them.',
        ),
    ] = (Server(address=Endpoint("127.0.0.1:24224")),)
    standby: Annotated[
        tuple[Server, ...], Meta(description="Servers to deliver to while none of the others can be reached.")
    ] = ()
    require_ack: Annotated[
        bool,
        Meta(
            description="Ask the server to acknowledge each message. Turn this off only for a server that cannot: what"
            " was written to its connection then counts as delivered, and may be lost with it."
        ),
    ] = True
    ack_timeout: Annotated[
        Duration,
        Meta(
            description="How long to wait for an acknowledgement before the message is sent again, on a new connection."
        ),
    ] = Duration("60s")
    connections: Annotated[
        int, Meta(ge=1, le=64, title="a whole number from 1 to 64", description="Connections to each server.")
    ] = 1
    connection_max_age: Annotated[
        Duration,
        Meta(
            description="Connections are made anew when they are this old, which follows load balancers and changes"
            " of DNS. 0s keeps them as long as they last."
        ),
    ] = Duration("1h")
    max_frame: Annotated[
        Size,
        Meta(
            description="Largest message to a server; larger ones are cut into several. The default is just below"
            " what a default Fluent Bit takes."
        ),
    ] = Size("6MB")
    shared_key: Annotated[
        Secret | None, Meta(description="Key that servers ask for: turns the handshake on. Empty has none.")
    ] = None
    shared_key_file: Annotated[SecretFile | None, Meta(description="File that holds this key, instead.")] = None
    username: Annotated[
        str,
        Meta(max_length=128, title="at most 128 characters", description="User name for servers that ask for one."),
    ] = ""
    password: Annotated[Secret | None, Meta(description="Password of this user.")] = None
    password_file: Annotated[SecretFile | None, Meta(description="File that holds this password, instead.")] = None
    tls: ClientTls = ClientTls()

    @property
    def key(self) -> bytes | None:
        """The shared key, wherever it is; None where there is no handshake."""
        return either(self.shared_key, self.shared_key_file)

    @property
    def secret(self) -> bytes:
        """The password, wherever it is; empty where there is none."""
        return either(self.password, self.password_file) or b""


class Rules(Section, frozen=True, kw_only=True):
    """What is looked for."""

    paths: Annotated[
        tuple[Path, ...],
        Meta(min_length=1, description="Rule files, and directories that are searched for *.toml at any depth."),
    ] = (Path("/etc/firstseen/rules"),)
    exceptions: Annotated[
        tuple[Path, ...],
        Meta(
            description="Files of exceptions, and directories that are searched for *.toml at any depth: which events"
            " rules pass over. A value list stands beside the file that names it."
        ),
    ] = ()
    learning: Annotated[
        tuple[tuple[str, Duration], ...],
        Meta(
            description='How long rules learn, by their id or name, in quotation marks, "*" in it standing for any run'
            ' of characters: {"AWS IAM *" = "2d"}. The first pattern that fits counts, for rules of any type; where'
            " none does, it is state.learning_period."
        ),
    ] = ()
    shadow: Annotated[
        tuple[tuple[str, Until], ...],
        Meta(
            description="Rules that are being tried out, named likewise, and until when: true, a date to its end in"
            " UTC, or a time. Their alerts are labelled as shadow and keep their tag."
        ),
    ] = ()


class GeoIp(Section, frozen=True, kw_only=True):
    """What is known of source addresses, from databases of the operator's in MaxMind's format."""

    city: Annotated[
        Path | None,
        Meta(
            description="Database of places, such as GeoLite2-City.mmdb, for source.geo. Opened anew at SIGHUP. Empty"
            " has none, and these fields have no value."
        ),
    ] = None
    asn: Annotated[
        Path | None,
        Meta(description="Database of networks, such as GeoLite2-ASN.mmdb, for source.as. Likewise."),
    ] = None
    copy: Annotated[
        bool,
        Meta(
            description="Use copies of these, without a name, in state.path, which take as much room there: then the"
            " files may be written over. Without, that ends the agent."
        ),
    ] = True


class Alerts(Section, frozen=True, kw_only=True):
    """How a record that matched is marked."""

    key: Annotated[str, Meta(min_length=1, description="Key of the record under which the list of alerts is put.")] = (
        "alerts"
    )
    tag_prefix: Annotated[
        str,
        Meta(
            description='Put in front of the tag of records with an alert: with "alert." they can be routed on their'
            " own. Empty keeps the tag."
        ),
    ] = ""


class Http(Section, frozen=True, kw_only=True):
    """Where the agent shows how it does: a status page, /status, /metrics, /livez and /readyz."""

    listen: Annotated[
        Endpoint | None,
        Meta(
            description="Where to listen. Beyond this machine it takes a token or certificates of clients. Empty shows"
            " nothing."
        ),
    ] = Endpoint("127.0.0.1:24226")
    unix_mode: Annotated[Mode, Meta(description="Mode of a Unix socket: who may connect.")] = Mode("0660")
    hosts: Annotated[
        tuple[HostName, ...],
        Meta(
            description="Names under which it may be asked for, beside localhost, the name in listen, and any IP"
            " address. Under others it does not answer: a web page elsewhere could make one up that leads here."
        ),
    ] = ()
    token: Annotated[
        Secret | None,
        Meta(
            description="What clients must show, as a Bearer token or as the password of any user; /livez and, without"
            " its details, /readyz need none. Empty asks for none."
        ),
    ] = None
    token_file: Annotated[SecretFile | None, Meta(description="File that holds this token, instead.")] = None
    tls: ServerTls = ServerTls()

    @property
    def secret(self) -> bytes | None:
        """The token, wherever it is; None where everybody who can connect may look."""
        return either(self.token, self.token_file)


class Log(Section, frozen=True, kw_only=True):
    """What the agent says of itself, on stderr and to a collector."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important events that are written.")
    ] = "info"
    format: Annotated[Literal["text", "json"], Meta(description="Lines for people, or one JSON object per line.")] = (
        "text"
    )
    forward: Annotated[
        PlainEndpoint | None,
        Meta(
            description="Server that the log is sent to as well, over the Forward protocol without acknowledgements,"
            ' shared key or TLS, such as the collector on this machine: "host:port" with a name or an IPv4 address, or'
            ' "unix:/path". Empty sends it nowhere.'
        ),
    ] = None
    forward_tag: Annotated[str, Meta(min_length=1, description="The tag under which it is sent there.")] = "firstseen"
    forward_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important events sent there.")
    ] = "info"


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration; ``path`` is the file it was read from."""

    path: Path
    input: Input = Input()
    output: Output = Output()
    rules: Rules = Rules()
    state: State = State()
    geoip: GeoIp = GeoIp()
    alerts: Alerts = Alerts()
    sources: Sources = Sources()
    http: Http = Http()
    log: Log = Log()


SECTIONS: Mapping[str, type[Section | Sources]] = {
    field.name: field.type for field in msgspec.structs.fields(Config) if field.name != "path"
}
"""Every section by its name, in the order of the sample."""

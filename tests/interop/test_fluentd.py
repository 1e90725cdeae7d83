"""A real Fluentd on either end of the agent. What it takes, it passes on to a sink of ours, where it can be seen."""

import re
from pathlib import Path

import pytest

from support import fluentd
from support.agent import AgentProcess, write_config
from support.authority import Certificates
from support.calls import FIRST, TIME_NS, event, events, frames, without_alerts
from support.fluentbit import free_port
from support.fluentd import Fluentd
from support.peer_frames import entry_v1
from support.peer_frames import forward as forward_frame
from support.peers import Sink, Source

pytestmark = fluentd.marks

MODES = ("message", "forward", "packed", "compressed")
COUNT = 24

SECURITY = '<security>\nself_hostname fluentd.example.com\nshared_key "a key"\n{}</security>'
USER = "<user>\nusername alice\npassword secret\n</user>"
LOGIN = 'shared_key = "a key"'
SOON = "flush_mode interval\nflush_interval 0.1\n"


def forwarder(
    folder: Path, port: int, source: str, *, output: str = "heartbeat_type none", server: str = "", buffer: str = SOON
) -> Path:
    """A configuration that takes what ``source`` says and sends it there; the rest is put where its name says."""
    config = folder / f"fluentd-{port}.conf"
    config.write_text(f"""
        {source}
        <match aws.**>
          @type forward
          require_ack_response true
          {output}
          <server>
            host 127.0.0.1
            port {port}
            {server}
          </server>
          <buffer tag>
            flush_thread_interval 0.1
            {buffer}
          </buffer>
        </match>
        <label @FLUENT_LOG>
          <match **>
            @type null
          </match>
        </label>
    """)
    return config


def listening(port: int, more: str = "") -> str:
    return f"<source>\n@type forward\nbind 127.0.0.1\nport {port}\n{more}\n</source>"


def agent(folder: Path, server: str, listen: str = "127.0.0.1:0", extra: str = "") -> AgentProcess:
    config = write_config(folder / "c.toml", downstream="to be set", state=folder / "state", listen=listen, extra=extra)
    config.write_text(config.read_text().replace('"to be set"', server))
    return AgentProcess(config)


def check_arrived(sink: Sink) -> None:
    sink.wait_for(COUNT)
    arrived = sorted(sink.entries, key=lambda entry: int(entry.record["eventID"][2:]))
    assert [without_alerts(entry.record) for entry in arrived] == events(COUNT)
    assert [entry.record["eventID"] for entry in arrived if "alerts" in entry.record] == FIRST


@pytest.mark.parametrize("kind", ["plain", "users", "mtls and users"])
def test_takes_every_mode_and_acks(kind: str, tmp_path: Path, sink: Sink, certificates: Certificates) -> None:
    port = free_port()
    theirs, ours = "", ""
    if "users" in kind:
        theirs = SECURITY.format(f"user_auth true\n{USER}\n")
        ours = f'output: {LOGIN}\noutput: username = "alice"\noutput: password = "secret"\n'
    if "tls" in kind:
        server, client = certificates.server, certificates.client
        theirs += f"""
            <transport tls>
              cert_path {server.cert}
              private_key_path {server.key}
              client_cert_auth true
              ca_path {certificates.root}
            </transport>"""
        ours += f'output: tls.ca = "{certificates.root}"\n'
        ours += f'output: tls.cert = "{client.cert}"\noutput: tls.key = "{client.key}"\n'
    scheme = "tls://" if "tls" in kind else ""
    server_setting = f'{{address = "{scheme}127.0.0.1:{port}", entries = "v1"}}'

    with (
        Fluentd(forwarder(tmp_path, sink.port, listening(port, theirs))),
        agent(tmp_path, server_setting, extra=ours) as process,
    ):
        with Source(process.port) as source:
            for number, mode in enumerate(MODES):
                some = events(COUNT)[number * 6 : number * 6 + 6]
                made = frames(mode, some, tag="aws.trail", metadata={"from": "here"})
                assert len(source.deliver(made)) == len(made)
        check_arrived(sink)
        totals = process.stop()

    assert {entry.tag for entry in sink.entries} == {"aws.trail"}
    assert {entry.time_ns - TIME_NS for entry in sink.entries} == {*range(6)}
    assert (totals["records_out"], totals["delivery_retries"]) == (COUNT, 0)


@pytest.mark.parametrize("kind", ["plain", "heartbeats", "gzip", "zstd", "users", "mtls and users"])
def test_is_acked_from_end_to_end(kind: str, tmp_path: Path, sink: Sink, certificates: Certificates) -> None:
    port = free_port()
    output = "" if kind == "heartbeats" else "heartbeat_type none\n"
    server = ours = ""
    if kind in {"gzip", "zstd"}:
        output += f"compress {kind}"
    if "users" in kind:
        output += SECURITY.format("")
        server = "name 127.0.0.1\nusername alice\npassword secret"  # the name is what the certificate has to be for
        ours = f'input: {LOGIN}\ninput: users = [{{name = "alice", password = "secret"}}]\n'
    if "tls" in kind:
        pem, client = certificates.server, certificates.client
        output += f"""
            transport tls
            tls_cert_path {certificates.root}
            tls_client_cert_path {client.cert}
            tls_client_private_key_path {client.key}"""
        ours += f'input: tls.cert = "{pem.cert}"\ninput: tls.key = "{pem.key}"\n'
        ours += f'input: tls.client_ca = "{certificates.root}"\n'

    with agent(tmp_path, f'"{sink.address}"', f"{'tls://' if 'tls' in kind else ''}127.0.0.1:0", ours) as process:
        config = forwarder(tmp_path, process.port, listening(port), output=output, server=server)
        with Fluentd(config), Source(port) as source:
            source.deliver(frames("forward", events(COUNT), tag="aws.trail"))
            check_arrived(sink)
        totals = process.stop()

    assert [entry.time_ns - TIME_NS for entry in sink.entries] == [*range(COUNT)]
    assert all(re.fullmatch(r"[A-Za-z0-9+/=]{24}\n", frame.chunk) for frame in sink.frames)  # as Ruby writes them
    assert (totals["records_out"], totals["connections_refused"]) == (COUNT, 0)


def test_one_with_the_wrong_key_keeps_its_records_until_it_is_right(tmp_path: Path, sink: Sink) -> None:
    port, ours = free_port(), free_port()
    buffer = f"{SOON}retry_type periodic\nretry_wait 0.5"
    config = forwarder(
        tmp_path, ours, listening(port), output=f"heartbeat_type none\n{SECURITY.format('')}", buffer=buffer
    )

    with Fluentd(config), Source(port) as source:
        with agent(tmp_path, f'"{sink.address}"', f"127.0.0.1:{ours}", 'input: shared_key = "another"') as process:
            process.wait_for("ready")
            source.deliver(frames("forward", events(COUNT), tag="aws.trail"))
            assert "shared_key mismatch" in process.wait_for("connection_refused")["reason"]
            assert process.stop()["records_in"] == 0
        assert sink.records == 0
        with agent(tmp_path, f'"{sink.address}"', f"127.0.0.1:{ours}", f"input: {LOGIN}"):
            check_arrived(sink)


def test_a_large_chunk_of_its_leaves_in_pieces_and_is_acked_once(tmp_path: Path, sink: Sink) -> None:
    port, records, fill = free_port(), 300, 100_000
    buffer = "chunk_limit_size 64m\nflush_mode lazy\nflush_at_shutdown true"
    ours = 'input: max_frame = "64MiB"\ninput: max_in_flight = "128MiB"'

    with agent(tmp_path, f'"{sink.address}"', extra=ours) as process:
        config = forwarder(tmp_path, process.port, listening(port), buffer=buffer)
        with Fluentd(config) as upstream:
            with Source(port) as source:
                for start in range(0, records, 50):
                    entries = [entry_v1(event(n, fill), TIME_NS + n) for n in range(start, start + 50)]
                    source.deliver([forward_frame("aws.trail", entries, chunk=f"from {start}")])
            assert upstream.stop() == 0  # which waits for the ack
        totals = process.stop()

    assert [entry.record["eventID"] for entry in sink.entries] == [f"e-{number}" for number in range(records)]
    assert max(frame.size for frame in sink.frames) <= 6_000_000
    assert (totals["records_in"], totals["chunks_in"]) == (records, 1)

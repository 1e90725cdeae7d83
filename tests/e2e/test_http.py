"""What the installed agent shows of itself: over real sockets, while it does its job, and whoever asks."""

import contextlib
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from shutil import which

import msgpack
import pytest

from support.agent import AgentProcess, write_config
from support.authority import Authority
from support.calls import events, frames
from support.peers import Sink, Source, acked, closed, held
from support.rulebook import call, rule_text
from support.visitor import TIMEOUT_S, Visitor

pytestmark = pytest.mark.e2e

TOKEN = "correct horse battery"


def configured(
    folder: Path, sink: Sink, extra: str = "", rules: Path | None = None, listen: str = "127.0.0.1:0"
) -> Path:
    given = {} if rules is None else {"rules": rules}
    return write_config(
        folder / "firstseen.toml",
        downstream=sink.address,
        state=folder / "state",
        http=listen,
        extra=extra,
        **given,
    )


def test_an_agent_at_work(tmp_path: Path, sink: Sink) -> None:
    with AgentProcess(configured(tmp_path, sink)) as agent:
        visitor = Visitor(agent.http)
        visitor.until_ready()
        assert visitor.ask("/livez") == (200, "alive\n")
        assert visitor.readyz() == []
        with Source(agent.port) as client:
            for frame in frames("forward", events(300)):
                client.send(frame)
                client.ack()
        time.sleep(1.1)
        told, seen = visitor.status(), visitor.scrape()
        totals = agent.stop()

    assert told["records"]["received"] == told["records"]["delivered"] == 300
    assert told["sums"] == {"records": True, "chunks": True, "matches": True}
    assert [alert["terms"][0]["value"][-2:] for alert in told["latest_alerts"]] == ["u1", "u2", "u3", "u0"]
    assert told["records"]["per_second"] > 0
    assert told["input"]["clients"][0]["origin"] == "127.0.0.1"
    assert told["output"]["servers"][0]["connections"] == 1
    assert seen.total("firstseen_input_records_total") == totals["records_in"] == 300
    assert seen.total("firstseen_alerts_total", status="open") == totals["alerts"] == 4
    assert seen.total("firstseen_chunk_seconds_count") == 1
    seen.assert_sums()


def test_the_sums_hold_while_something_is_on_its_way(tmp_path: Path) -> None:
    with Sink(held) as sink, AgentProcess(configured(tmp_path, sink)) as agent:
        visitor = Visitor(agent.http)
        visitor.until_ready()
        with Source(agent.port) as client:
            for number in range(5):
                client.send(frames("forward", events(30))[0].replace(b"forward e-0", b"forward e-%d" % number))
            told = visitor.until(lambda told: told["chunks"]["in_flight"] == 5)
            assert told["records"]["in_flight"] == 150
            assert told["output"]["lag_seconds"] > 0
            time.sleep(1.1)
            visitor.scrape().assert_sums()
            sink.use(acked)
            sink.release()
            for _ in range(5):
                client.ack()
        told = visitor.until(lambda told: told["chunks"]["in_flight"] == 0)
        assert told["sums"]["records"]
        visitor.scrape().assert_sums()


def test_it_is_ready_when_a_server_is_there_and_not_before(tmp_path: Path) -> None:
    with Sink() as placeholder:
        address = placeholder.address
    config = write_config(tmp_path / "firstseen.toml", downstream=address, state=tmp_path / "state", http="127.0.0.1:0")
    with AgentProcess(config) as agent:
        visitor = Visitor(agent.http)
        assert visitor.readyz() == ["downstream_unreachable"]
        assert visitor.ask("/livez")[0] == 200
        server = visitor.status()["output"]["servers"][0]
        assert server["connections"] == 0
        with Sink(port=int(address.rpartition(":")[2])):
            visitor.until_ready()
            assert visitor.readyz() == []


def test_a_server_that_takes_nothing_shows(tmp_path: Path) -> None:
    with Sink(closed) as sink, AgentProcess(configured(tmp_path, sink)) as agent:
        visitor = Visitor(agent.http)
        with Source(agent.port) as client:
            client.send(frames("forward", events(3))[0])
            told = visitor.until(lambda told: told["output"]["retries"] > 0)
        assert told["output"]["servers"][0]["failures"] > 0
        assert told["output"]["servers"][0]["trouble"]


@pytest.mark.slow
def test_what_takes_connections_and_closes_them_is_no_server(tmp_path: Path) -> None:
    """As a proxy does whose server is down; nothing has to be sent for that to show, and to go on showing."""

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            while True:
                listening.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=hang_up, daemon=True).start()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        config = write_config(
            tmp_path / "firstseen.toml", downstream=address, state=tmp_path / "state", http="127.0.0.1:0"
        )
        with AgentProcess(config) as agent:
            visitor = Visitor(agent.http)
            time.sleep(13)
            for _ in range(30):
                assert visitor.readyz() == ["downstream_unreachable"]
                time.sleep(0.5)
        listening.shutdown(socket.SHUT_RDWR)


def test_rules_that_cannot_be_loaded_anew_show_until_they_can(tmp_path: Path, sink: Sink) -> None:
    rule = tmp_path / "rule.toml"
    rule.write_text(rule_text())
    with AgentProcess(configured(tmp_path, sink, rules=rule)) as agent:
        visitor = Visitor(agent.http)
        visitor.until_ready()
        rule.write_text("[rule]\n")
        agent.signal(signal.SIGHUP)
        agent.wait_for("reload_failed")
        code, body = visitor.ask("/readyz")
        assert (code, body.splitlines()[1].partition(":")[0]) == (503, "rules_not_loaded")
        assert str(rule) in body
        assert visitor.scrape().total("firstseen_reloads_failed_total") == 1
        rule.write_text(rule_text())
        agent.signal(signal.SIGHUP)
        agent.wait_for("reloaded")
        assert visitor.readyz() == []


def test_stopping_shows_to_the_end(tmp_path: Path) -> None:
    with Sink(held) as sink, AgentProcess(configured(tmp_path, sink)) as agent:
        visitor = Visitor(agent.http)
        visitor.until_ready()
        with Source(agent.port) as client:
            client.send(frames("forward", events(3))[0])
            sink.wait_until(lambda: sink.chunks == 1)
            agent.signal(signal.SIGTERM)
            agent.wait_for("stopping")
            assert visitor.readyz() == ["stopping"]
            sink.use(acked)
            sink.release()
            client.ack()
        assert agent.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            Visitor(agent.http).ask("/livez")


def test_learning_shows(tmp_path: Path, sink: Sink) -> None:
    config = configured(tmp_path, sink)
    config.write_text(config.read_text().replace("[state]\n", '[state]\nlearning_period = "2d"\n'))
    with AgentProcess(config) as agent, Source(agent.port) as client:
        visitor = Visitor(agent.http)
        client.send(msgpack.packb(["aws", [[1, call("arn:aws:iam::111122223333:user/ada", "e-1")]], {"chunk": "c"}]))
        assert client.ack() == "c"
        told = visitor.until(lambda told: told["matches"]["learning"] == 1)
        (rule,) = told["rules"]["running"]
        assert (rule["status"], rule["learning"], rule["open"]) == ("learning", 1, 0)
        assert 2 * 86_400 - 60 < rule["learning_seconds_left"] <= 2 * 86_400
        assert told["latest_alerts"] == []
        assert told["latest_others"][0]["status"] == "learning"
        time.sleep(1.1)
        seen = visitor.scrape()
        assert 2 * 86_400 - 60 < seen.total("firstseen_warmup_remaining_seconds") <= 2 * 86_400
        assert seen.total("firstseen_alerts_total", status="learning") == 1
        seen.assert_sums()


def test_whoever_is_not_of_this_machine_needs_the_token(tmp_path: Path, sink: Sink) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    config = configured(tmp_path, sink, 'http: token_file = "token"', listen="0.0.0.0:0")
    with AgentProcess(config) as agent:
        visitor = Visitor(agent.http.replace("0.0.0.0", "127.0.0.1"))
        assert visitor.ask("/livez")[0] == 200
        assert Visitor(agent.http.replace("0.0.0.0", "127.0.0.1")).ask("/status")[0] == 401
        assert visitor.ask("/status", authorization=f"Bearer {TOKEN}")[0] == 200


def test_under_tls_with_a_certificate(tmp_path: Path, sink: Sink) -> None:
    root = Authority(tmp_path, "root")
    pem, own = root.issue("localhost"), root.issue("prometheus.example.com")
    lines = [
        f'http: tls = {{cert = "{pem.cert}", key = "{pem.key}", client_ca = "{root.file}"}}',
        'http: hosts = ["status.example.com"]',
    ]
    with AgentProcess(configured(tmp_path, sink, "\n".join(lines), listen="tls://0.0.0.0:0")) as agent:
        tls = ssl.create_default_context(cafile=str(root.file))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Visitor(agent.http, tls).ask("/status")
        tls.load_cert_chain(own.cert, own.key)
        assert Visitor(agent.http, tls).ask("/status")[0] == 200
        assert Visitor(agent.http, tls).ask("/status", host="status.example.com")[0] == 200
        assert Visitor(agent.http, tls).ask("/status", host="other.example.com")[0] == 421


def test_what_reads_may_read_and_nothing_else_may(tmp_path: Path, sink: Sink) -> None:
    with AgentProcess(configured(tmp_path, sink)) as agent:
        for path in ("/", "/page.css", "/status", "/metrics", "/livez"):
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
                assert Visitor(agent.http).ask(path, method)[0] == 405
            assert Visitor(agent.http).ask(path, "HEAD") == (200, "")


def test_nothing_is_shown_where_that_is_not_wanted(tmp_path: Path, sink: Sink) -> None:
    with AgentProcess(configured(tmp_path, sink, listen="")) as agent:
        assert "http" not in agent.wait_for("ready")


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(tmp_path: Path, sink: Sink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with AgentProcess(configured(tmp_path, sink, listen=f"127.0.0.1:{port}")) as agent:
            assert agent.wait() == 1
    assert f"cannot listen on 127.0.0.1:{port} (http.listen)" in str(agent.events)


def test_hostile_visitors_do_not_disturb_the_log_stream(tmp_path: Path, sink: Sink) -> None:
    """Silent ones, slow ones, greedy ones, loud ones: all at once, and every chunk is acked, and the probe answered."""
    with AgentProcess(configured(tmp_path, sink)) as agent:
        Visitor(agent.http).until_ready()
        place = ("127.0.0.1", int(agent.http.rpartition(":")[2]))
        over = threading.Event()

        def bother(data: bytes, pause_s: float) -> None:
            while not over.is_set():
                try:
                    with socket.create_connection(place, timeout=1.0) as visitor:
                        while not over.is_set():
                            visitor.sendall(data)
                            time.sleep(pause_s)
                except OSError:
                    time.sleep(0.01)

        ask = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"
        kinds = [(b"", 0.5)] * 100 + [(b"G", 0.05)] * 10 + [(ask * 50, 0.0)] * 5 + [(b"\xff" * 4096, 0.0)] * 5
        threads = [threading.Thread(target=bother, args=kind, daemon=True) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            with Source(agent.port) as client:
                for number in range(50):
                    chunk = f"c-{number}"
                    client.send(msgpack.packb(["aws", [[1, event] for event in events(100)], {"chunk": chunk}]))
                    assert client.ack() == chunk
            assert Visitor(agent.http).ask("/livez") == (200, "alive\n")
        finally:
            over.set()
            for thread in threads:
                thread.join(TIMEOUT_S)
        totals = agent.stop()
    assert totals["records_in"] == totals["records_out"] == 5_000


@pytest.mark.skipif(which("promtool") is None, reason="there is no promtool on PATH")
def test_promtool_has_nothing_to_say(tmp_path: Path, sink: Sink) -> None:
    with AgentProcess(configured(tmp_path, sink)) as agent:
        visitor = Visitor(agent.http)
        visitor.until_ready()
        _, body = visitor.ask("/metrics")
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=body, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

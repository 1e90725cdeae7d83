from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firstseen import config
from firstseen.net.validity import Validity, overdue, validities
from support.authority import Authority, Pem

FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2050, 6, 1, 12, 30, 59, tzinfo=UTC)
"""One is written with two digits for the year, the other with four."""


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)


@pytest.fixture
def root(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "one")


@pytest.fixture
def pem(root: Authority) -> Pem:
    return root.issue("agent.example.com", not_before=FIRST, not_after=LAST)


def told(folder: Path, settings: str, now: datetime) -> list[tuple[str, str]]:
    file = folder / "firstseen.toml"
    file.write_text(settings)
    return [(each.setting, each.what.replace(f"{folder}/", "")) for each in overdue(config.load(file), ms(now))]


def served(pem: Pem, more: str = "") -> str:
    return f'[input]\nlisten = ["tls://127.0.0.1:0"]\ntls = {{cert = "{pem.cert}", key = "{pem.key}"{more}}}\n'


def test_the_times_are_those_that_openssl_reads(root: Authority, pem: Pem) -> None:
    context = ssl.create_default_context(cafile=str(root.file))
    (said,) = context.get_ca_certs()
    times = [ssl.cert_time_to_seconds(str(said[name])) for name in ("notBefore", "notAfter")]

    assert [each.timestamp() for each in validities(root.file.read_bytes())[0]] == times
    assert validities(pem.cert.read_bytes()) == [Validity(FIRST, LAST)]


def test_every_root_of_this_machine_is_read() -> None:
    context = ssl.create_default_context()
    roots = [ssl.DER_cert_to_PEM_cert(each) for each in context.get_ca_certs(binary_form=True)]
    times = [ssl.cert_time_to_seconds(str(each["notAfter"])) for each in context.get_ca_certs()]

    assert [each.last.timestamp() for each in validities("".join(roots).encode())] == times


@pytest.mark.parametrize("text", ["", "MAA=", "?", "MIIB", "MA==", "MAQwAjAA"])
def test_what_is_no_certificate_has_no_times(text: str) -> None:
    assert validities(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode()) == []


@pytest.mark.parametrize("before", ["", "\ufeff", "-----BEGIN CERTIFICATE-----  old\n", "a note\n"])
def test_only_what_begins_a_line_is_a_certificate(root: Authority, pem: Pem, before: str) -> None:
    away = "".join(f"# {line}\n" for line in root.file.read_text().splitlines())

    assert validities((before + pem.cert.read_text() + away).encode()) == [Validity(FIRST, LAST)]
    assert validities((away + pem.cert.read_text().replace("\n", "\r\n")).encode()) == [Validity(FIRST, LAST)]


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), "is not valid yet: it will be from 2026-01-01T00:00:00Z"),
        (FIRST, None),
        (LAST, None),
        (datetime(2050, 6, 1, 12, 31, tzinfo=UTC), "has expired: it was valid until 2050-06-01T12:30:59Z"),
    ],
)
def test_a_certificate_is_valid_from_its_first_to_its_last_second(
    tmp_path: Path, pem: Pem, now: datetime, what: str | None
) -> None:
    expected = [] if what is None else [("input.tls.cert", f"agent.example.com.crt {what}")]

    assert told(tmp_path, served(pem), now) == expected


def test_every_certificate_that_is_shown_counts_and_one_of_the_roots_is_enough(
    tmp_path: Path, root: Authority, pem: Pem
) -> None:
    old = root.issue("old.example.com", not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=FIRST).cert
    now = datetime(2030, 1, 1, tzinfo=UTC)
    both = tmp_path / "both.pem"
    both.write_bytes(old.read_bytes() + root.file.read_bytes())
    pem.cert.write_bytes(pem.cert.read_bytes() + old.read_bytes())
    expired = "has expired: it was valid until 2026-01-01T00:00:00Z"
    own = ("input.tls.cert", f"agent.example.com.crt, certificate 2 of 2, {expired}")

    assert told(tmp_path, served(pem, f', client_ca = "{both}"'), now) == [own]
    assert told(tmp_path, served(pem, f', client_ca = "{old}"'), now) == [
        own,
        ("input.tls.client_ca", f"old.example.com.crt {expired}"),
    ]


def test_all_sides_are_looked_at(tmp_path: Path, pem: Pem) -> None:
    own = f'cert = "{pem.cert}", key = "{pem.key}"'
    settings = served(pem) + (
        f'[output]\nservers = ["tls://127.0.0.1:1"]\ntls = {{ca = "{pem.cert}", {own}}}\n'
        f'[http]\nlisten = "tls://127.0.0.1:0"\ntls = {{{own}, client_ca = "{pem.cert}"}}\n'
        f'[state]\nurl = "rediss://127.0.0.1"\ntls = {{ca = "{pem.cert}", {own}}}\n'
    )

    assert {setting for setting, _ in told(tmp_path, settings, datetime(2060, 1, 1, tzinfo=UTC))} == {
        *("input.tls.cert", "output.tls.cert", "http.tls.cert", "state.tls.cert"),
        *("output.tls.ca", "http.tls.client_ca", "state.tls.ca"),
    }


def test_a_file_that_went_meanwhile_is_told_of_by_whoever_needs_it(tmp_path: Path, pem: Pem) -> None:
    pem.cert.unlink()

    assert told(tmp_path, served(pem), LAST) == []

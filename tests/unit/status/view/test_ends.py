from firstseen.status.view.ends import ends
from support.told import Reading, client, server, status


def reading(**changes: object) -> Reading:
    return Reading(ends(status(**changes)))


def test_nobody_is_there() -> None:
    away = server(connections=0, delivered=0, trouble="<refused>", last_delivery_seconds=None)
    said = reading(output__servers=[away])

    assert "Nobody has connected yet." in said.texts
    assert "192.0.2.1:24224 | away | <refused> | 0 | 0 | 0 | – | –" in said.text


def test_both_are_there() -> None:
    said = reading(input__clients=[client(tls=True, lag_seconds=-0.5)], output__servers=[server(lag_seconds=0.25)])

    assert "192.0.2.7 | TLS | 1 | 1 | 1 | -500ms | 2s ago" in said.text
    assert "192.0.2.1:24224 | 1 | 5 | 0 | 250ms | 3s ago" in said.text


def test_trouble_is_told_until_something_is_delivered_again() -> None:
    assert "no ack" in reading(output__servers=[server(delivered=0, trouble="no ack")]).texts
    assert "no ack" not in reading(output__servers=[server(delivered=1, trouble="no ack")]).texts


def test_a_server_on_standby_is_not_away() -> None:
    said = reading(output__servers=[server(), server(address="b:1", standby=True, connections=0)])

    assert "on standby" in said.texts
    assert "away" not in said.texts


def test_what_does_not_go_on_is_noted() -> None:
    said = reading(input__paused=True, input__refused=2, output__waiting=3)

    assert said.texts[-1] == "3 messages with no server."
    assert "Reading has stopped until something is delivered: acks are late." in said.texts
    assert "2 connections had to be closed for what came." in said.texts

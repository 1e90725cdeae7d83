import pytest

from firstseen.net.heartbeat import BEAT, LARGEST, Heartbeat


class Port:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, object]] = []

    def sendto(self, data: bytes, addr: object) -> None:
        self.sent.append((data, addr))


@pytest.mark.parametrize(("size", "answers"), [(0, 0), (1, 1), (LARGEST, 1), (LARGEST + 1, 0)])
def test_only_what_may_be_a_heartbeat_is_answered_to_where_it_came_from(size: int, answers: int) -> None:
    port, heartbeat = Port(), Heartbeat()
    heartbeat.connection_made(port)  # type: ignore[arg-type]
    heartbeat.datagram_received(bytes(size), ("192.0.2.7", 5))
    assert port.sent == [(BEAT, ("192.0.2.7", 5))] * answers

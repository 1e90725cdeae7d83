from firstseen.net.clients import Client, Clients
from firstseen.net.peers import Peer


def peer(host: str, port: int = 1, *, secure: bool = False) -> Peer:
    return Peer(host, f":{port}", secure=secure)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def named(clients: Clients) -> dict[str, Client]:
    return {client.origin: client for client in clients}


def test_a_client_that_connects_anew_is_the_same() -> None:
    clients = Clients(Clock())
    clients.opened(peer("a", 1))
    clients.opened(peer("a", 2, secure=True))
    clients.opened(peer("b"))
    clients.took(peer("a", 1), 100)
    clients.took(peer("a", 2), 50)
    clients.settled(peer("a", 1), safe=True)
    clients.settled(peer("a", 2), safe=False)
    clients.closed(peer("a", 1))

    a, b = named(clients)["a"], named(clients)["b"]
    assert (a.connections, a.chunks, a.bytes, a.in_flight, a.secure) == (1, 2, 150, 0, True)
    assert (a.took_s, a.settled_s) == (2.0, 3.0)
    assert (b.connections, b.took_s, b.settled_s, b.lag_ms) == (1, None, None, None)
    assert clients.connections == 2


def test_how_late_records_come() -> None:
    clients = Clients(Clock())
    assert clients.lag_ms is None
    clients.lags(peer("a"), 5_000)
    clients.lags(peer("b"), -20)
    assert (named(clients)["a"].lag_ms, named(clients)["b"].lag_ms, clients.lag_ms) == (5_000, -20, -20)


def test_who_is_refused_is_known() -> None:
    clients = Clients(Clock())
    clients.refused(peer("a"))
    assert (named(clients)["a"].refused, named(clients)["a"].is_idle) == (1, True)


def test_those_that_are_silent_for_longest_are_forgotten_and_nobody_else() -> None:
    clients = Clients(Clock(), most=3)
    clients.opened(peer("connected"))
    clients.took(peer("waiting"), 1)
    for name in ("one", "two", "three"):
        clients.took(peer(name), 1)
        clients.settled(peer(name), safe=True)
    assert list(named(clients)) == ["connected", "waiting", "three"]

    clients.opened(peer("x"))
    clients.opened(peer("y"))
    assert list(named(clients)) == ["connected", "waiting", "x", "y"]
    clients.closed(peer("connected"))
    clients.settled(peer("waiting"), safe=True)
    clients.opened(peer("z"))
    assert list(named(clients)) == ["x", "y", "z"]

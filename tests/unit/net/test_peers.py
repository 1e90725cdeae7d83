from firstseen.net.peers import Peer, in_brackets


def test_a_peer_is_told_by_its_host_and_its_connection():
    assert str(Peer("192.0.2.7", ":40312", secure=False)) == "192.0.2.7:40312"
    assert str(Peer("unix:/run/s", " (pid 1, uid 0)", secure=False)) == "unix:/run/s (pid 1, uid 0)"
    assert str(Peer.unknown()) == "?"


def test_only_ipv6_needs_brackets():
    assert in_brackets("2001:db8::1") == "[2001:db8::1]"
    assert in_brackets("192.0.2.7") == "192.0.2.7"

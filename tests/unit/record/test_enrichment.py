from firstseen.record.enrichment import UNENRICHED


def test_where_there_is_no_database_nothing_is_known():
    assert not UNENRICHED.has("city")
    assert not UNENRICHED.has("asn")
    assert UNENRICHED.geo("192.0.2.1") == UNENRICHED.network("192.0.2.1") == {}

from firstseen.config import Sources


def test_the_first_that_fits_counts():
    sources = Sources(views=(("aws.*", "cloudtrail"), ("*.raw", "none"), ("aws.x", "ecs")))
    assert [sources.view(tag) for tag in ("aws.x", "aws.raw", "a.raw", "other")] == [
        "cloudtrail",
        "cloudtrail",
        "none",
        "auto",
    ]
    assert Sources().view("anything") == "auto"
    assert Sources(views=()).view("anything") == "auto"

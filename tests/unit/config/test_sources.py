import tracemalloc

from firstseen.config import Sources
from firstseen.config.sources import LONGEST_TAG


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


def test_files_have_no_tag_and_are_read_as_all_others_are():
    assert Sources().view_of_files == "auto"
    assert Sources(views=(("aws.*", "cloudtrail"), ("*", "ecs"), ("*", "auto"))).view_of_files == "ecs"
    assert Sources(views=(("aws.*", "cloudtrail"),)).view_of_files == "auto"
    assert Sources(views=(("aws.*", "ecs"), ("*", "none"))).view_of_files == "auto", "who names files wants them read"


def test_what_is_recalled_is_what_is_said():
    sources = Sources(views=(("aws.*", "cloudtrail"), ("*x", "none")))
    recalled = sources.remembering()
    tags = ["aws.x", "x", "y", "", "x" * LONGEST_TAG, "y" * LONGEST_TAG, "x" * (LONGEST_TAG + 1), "aws." * LONGEST_TAG]
    for tag in 2 * tags:
        assert recalled(tag) == sources.view(tag)


def test_long_tags_are_not_kept():
    recalled = Sources().remembering()
    tracemalloc.start()
    try:
        for number in range(100):
            recalled(f"{number}".ljust(50_000, "x"))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 50_000

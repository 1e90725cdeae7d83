import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from firstseen.forward.outgoing import Frame
from firstseen.net.delivery import Delivery, Parcel
from firstseen.net.forming import Forming
from firstseen.steps import SLICE_S, Steps


def parcel(name: str) -> Parcel:
    frame = Frame(name, (b"x",), 1, None)
    return Parcel(frame, Delivery([frame], lambda: None, lambda reason: None), 0, 0.0)


def renamed(steps: int) -> Callable[[Frame], Steps[Frame]]:
    def form(frame: Frame) -> Steps[Frame]:
        for _ in range(steps):
            yield
        return replace(frame, tag=f"{frame.tag} formed")

    return form


def slow(ended: list[str]) -> Callable[[Frame], Steps[Frame]]:
    """Takes longer than a go in each of three steps, and tells of its end, whatever that is."""

    def form(frame: Frame) -> Steps[Frame]:
        loop = asyncio.get_running_loop()
        try:
            for _ in range(3):
                until_s = loop.time() + SLICE_S
                while loop.time() < until_s:
                    pass
                yield
        finally:
            ended.append(frame.tag)
        return frame

    return form


def test_without_a_form_a_frame_is_what_it_is() -> None:
    async def main() -> None:
        one = parcel("one")
        assert Forming(None, lambda: None).of(one) is one.frame

    asyncio.run(main())


def test_what_is_soon_there_is_there_at_once_and_made_once() -> None:
    async def main() -> None:
        told: list[str] = []
        forming, one, two = Forming(renamed(3), lambda: told.append("done")), parcel("one"), parcel("two")
        first = forming.of(one)
        assert first is not None
        assert first.tag == "one formed"
        assert forming.of(one) is first
        assert (second := forming.of(two)) is not None
        assert second.tag == "two formed"
        assert told == []

    asyncio.run(main())


def test_what_takes_long_is_told_of_when_it_is_there() -> None:
    async def main() -> None:
        done = asyncio.Event()
        ended: list[str] = []
        forming, one = Forming(slow(ended), done.set), parcel("one")
        assert forming.of(one) is None
        assert forming.of(one) is None
        async with asyncio.timeout(10):
            await done.wait()
        assert forming.of(one) is one.frame
        assert ended == ["one"]

    asyncio.run(main())


def test_what_is_forgotten_is_not_made() -> None:
    async def main() -> None:
        told: list[str] = []
        ended: list[str] = []
        forming, one, two = Forming(slow(ended), lambda: told.append("done")), parcel("one"), parcel("two")
        assert forming.of(one) is None
        forming.forget()
        await asyncio.sleep(5 * SLICE_S)
        assert (ended, told) == (["one"], []), "it was let go of in the middle"
        assert forming.of(two) is None
        assert forming.of(one) is None, "another one comes first now"
        assert ended == ["one", "two"]

    asyncio.run(main())

"""The section of the configuration that says where the state is, and how one gets at one that is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from firstseen.config.secret import Secret, SecretFile, either
from firstseen.config.section import Section, come_together
from firstseen.notation import Duration, Size
from firstseen.stateurl import StateUrl

PREFIX = r"\A[!-~]{1,64}\Z"
"""What keys of a shared state may begin with."""


class StateTls(Section, frozen=True, kw_only=True):
    """What the agent asks of the servers of a shared state, and shows to them, where its url begins with rediss."""

    ca: Annotated[
        Path | None, Meta(description="Roots, in PEM, that they are verified with beside those of the system.")
    ] = None
    cert: Annotated[Path | None, Meta(description="Certificate to show to servers that ask for one, in PEM.")] = None
    key: Annotated[Path | None, Meta(description="Private key of this certificate, in PEM, not encrypted.")] = None
    verify: Annotated[
        bool, Meta(description="Verify their certificates, and that they were issued to the hosts in the url.")
    ] = True

    def __post_init__(self) -> None:
        come_together(self.cert, self.key)


class StateSentinel(Section, frozen=True, kw_only=True):
    """What Sentinels ask for: their users and passwords are their own. Those in the url are for the servers."""

    username: Annotated[str, Meta(description="User of the Sentinels, where they ask for one.")] = ""
    password: Annotated[Secret | None, Meta(description="Password that the Sentinels ask for, if they do.")] = None
    password_file: Annotated[SecretFile | None, Meta(description="File that holds this password, instead.")] = None

    @property
    def secret(self) -> bytes | None:
        """The password, wherever it is; None where there is none."""
        return either(self.password, self.password_file)


class State(Section, frozen=True, kw_only=True):
    """What was seen before."""

    path: Annotated[Path, Meta(description="Directory of the database. Only one agent may use it.")] = Path(
        "/var/lib/firstseen"
    )
    map_size: Annotated[
        Size,
        Meta(
            description="Largest size of the database, 256KiB to 16384GiB. Its file is sparse and takes up only what is"
            " used. Taken anew at SIGHUP."
        ),
    ] = Size("1GiB")
    learning_period: Annotated[
        Duration,
        Meta(
            description="For this long after the history of a rule of type new_terms began, what is new is remembered"
            " and labelled as learning, and keeps its tag. 0s alerts from the first record on."
        ),
    ] = Duration("0s")

    url: Annotated[
        StateUrl | None,
        Meta(
            description="Share what was seen with other agents, in Redis or Valkey: redis://host:6379/0 (rediss:// is"
            " TLS), redis+sentinel://host:26379,host:26379/name or redis+cluster://host:6379,host:6379. Empty keeps it"
            " in the database in path; else path holds only the name of this agent."
        ),
    ] = None
    prefix: Annotated[
        str,
        Meta(
            pattern=PREFIX,
            title="1 to 64 ASCII characters",
            description="What the keys on that server begin with. Agents with the same prefix share a state.",
        ),
    ] = "firstseen:"
    username: Annotated[str, Meta(description="User of that server, if it is not in url.")] = ""
    password: Annotated[Secret | None, Meta(description="Password of that user.")] = None
    password_file: Annotated[SecretFile | None, Meta(description="File that holds this password, instead.")] = None
    lease: Annotated[
        Duration,
        Meta(
            description="How long an alert may be on its way while other agents that come upon the same terms wait for"
            " it. After that one of them may raise it as well."
        ),
    ] = Duration("30s")
    when_away: Annotated[
        Literal["wait", "local"],
        Meta(
            description="What to do while that server cannot be reached: wait, as senders keep what is not"
            " acknowledged, or go on with what this agent has seen itself, a copy of which it keeps in path. Such"
            " alerts are labelled as alone, and what is seen meanwhile is shared afterwards."
        ),
    ] = "wait"
    tls: StateTls = StateTls()
    sentinel: StateSentinel = StateSentinel()

    @property
    def secret(self) -> bytes | None:
        """The password, wherever it is; None where there is none."""
        return either(self.password, self.password_file)

"""Judge whether the bot can answer people now, from its connection and its database."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from bot.transport.gateway_state import GatewayState


class Condition(NamedTuple):
    """What the judgement needs to know; *shards* has the state of each connection to Discord."""

    shards: Mapping[int, GatewayState]
    database_works: bool = True
    draining: bool = False
    standby: bool = False  # Other processes have all shards, and this one waits for them.


class Readiness(NamedTuple):
    """The answer to a supervisor; *reasons* say why the bot cannot work, if it cannot."""

    shards: Mapping[str, str]
    database: str
    reasons: tuple[str, ...]
    standby: bool = False

    @property
    def status(self) -> HTTPStatus:
        """The status of the response."""
        return HTTPStatus.SERVICE_UNAVAILABLE if self.reasons else HTTPStatus.OK

    def body(self) -> dict[str, object]:
        """Return the object of the response; only a standby says that it is one."""
        fields = {"ready": not self.reasons, **self._asdict()}
        if not self.standby:
            del fields["standby"]
        return fields


STARTING: Final = Condition({0: GatewayState.CONNECTING})
WHY_NOT: Final = {
    GatewayState.CONNECTING: "connecting: shard {} has no session at Discord yet",
    GatewayState.DEAF: "deaf: shard {} has lost its session at Discord and hears nothing",
}


def readiness(condition: Condition) -> Readiness:
    """Return whether the bot can answer people in *condition*."""
    return Readiness(
        {str(shard): state.value for shard, state in condition.shards.items()},
        "ok" if condition.database_works else "failing",
        tuple(_reasons(condition)),
        condition.standby,
    )


def _reasons(condition: Condition) -> Iterator[str]:
    if condition.draining:
        yield "draining: the bot is stopping and begins no new answers"
    for shard, state in condition.shards.items():
        if not state.hears:
            yield WHY_NOT[state].format(shard)
    if not condition.database_works:
        yield "database failing: the log says why"

"""Whether the bot can work, judged from its condition."""

import pytest

from bot.monitoring.readiness import STARTING, Condition, readiness
from bot.transport.gateway_state import GatewayState

CONNECTED = {0: GatewayState.CONNECTED}


def test_a_connected_bot_with_a_database_is_ready() -> None:
    judged = readiness(Condition(CONNECTED))
    assert judged.status == 200
    assert judged.body() == {
        "ready": True,
        "shards": {"0": "connected"},
        "database": "ok",
        "reasons": (),
    }


@pytest.mark.parametrize(
    ("condition", "begins"),
    [
        (STARTING, "connecting: shard 0"),
        (Condition({0: GatewayState.CONNECTED, 3: GatewayState.DEAF}), "deaf: shard 3"),
        (Condition(CONNECTED, database_works=False), "database failing"),
        (Condition(CONNECTED, draining=True), "draining"),
    ],
)
def test_each_trouble_alone_is_a_reason(condition: Condition, begins: str) -> None:
    judged = readiness(condition)
    assert judged.status == 503
    assert judged.body()["ready"] is False
    [reason] = judged.reasons
    assert reason.startswith(begins)


def test_all_reasons_are_told() -> None:
    condition = Condition(
        {0: GatewayState.DEAF, 1: GatewayState.CONNECTING}, database_works=False, draining=True
    )
    assert [reason.partition(":")[0] for reason in readiness(condition).reasons] == [
        *("draining", "deaf", "connecting", "database failing"),
    ]


def test_standby_is_ready_without_a_connection() -> None:
    """A supervisor must not restart it: it waits for the shards of the others."""
    judged = readiness(Condition({}, standby=True))
    assert judged.status == 200
    assert judged.body() == {
        "ready": True,
        "shards": {},
        "database": "ok",
        "reasons": (),
        "standby": True,
    }

"""Which forward a message is about."""

import pytest

from bot.conversation.snowflakes import snowflake_at
from bot.inbox import embeds
from bot.inbox.embeds import FORWARD_SECONDS, RecentForwards
from tests.world import JUN, Json, World, user

NOW = 1_795_608_000.0
FORWARDED: Json = {"type": 0, "content": "x", "embeds": [], "attachments": []}
TIMELESS = {"timestamp": None, "edited_timestamp": None}
SNAPSHOT: Json = {"message_snapshots": [{"message": FORWARDED | TIMELESS}]}


def at(seconds: float) -> str:
    return str(snowflake_at(NOW + seconds))


@pytest.mark.parametrize(
    ("seconds", "more", "about"),
    [
        (0.3, {}, True),
        (FORWARD_SECONDS - 1, {}, True),
        (FORWARD_SECONDS + 1, {}, False),
        (-1, {}, False),
        (0.3, {"author": user(JUN, "Jun")}, False),
        (0.3, {"message_reference": {"channel_id": "200", "message_id": "9"}}, False),
    ],
)
def test_a_message_is_about_the_forward_it_was_sent_with(
    seconds: float, more: Json, about: bool
) -> None:
    world, forwards = World(), RecentForwards()
    forward = world.say("", id=at(0), **SNAPSHOT)
    forwards.note(forward)
    found = forwards.sent_with(world.say("Why?", id=at(seconds), **more))
    assert found == (forward if about else None)


def test_what_is_said_in_between_ends_it() -> None:
    world, forwards = World(), RecentForwards()
    forwards.note(world.say("", id=at(0), **SNAPSHOT))
    forwards.note(world.say("Hm.", id=at(1)))
    assert forwards.sent_with(world.say("Why?", id=at(2))) is None


def test_few_are_kept_in_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeds, "RECENT_FORWARDS", 2)
    world, forwards = World(), RecentForwards()
    for number in range(3):
        author = user(100 + number, f"Person{number}")
        forwards.note(world.say("", id=at(0), author=author, **SNAPSHOT))
    asked = [
        forwards.sent_with(world.say("Why?", id=at(1), author=user(100 + number, "x")))
        for number in range(3)
    ]
    assert [found is not None for found in asked] == [False, True, True]

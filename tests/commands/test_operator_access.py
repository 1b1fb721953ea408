"""Who operates the bot: the admins of the settings, else who owns the application."""

from typing import Any, cast

import discord
import pytest

from bot.commands.operator_access import FRESH_SECONDS, Operators, owners_of

OWNER, MEMBER, INVITED, READER, STRANGER, OTHER_ROLE, NO_ROLE = 1, 2, 3, 4, 5, 6, 7
ALONE: dict[str, Any] = {"owner": {"id": str(OWNER)}, "team": None}
# Discord: the owner of a team's application is a user that stands for the team.
OF_A_TEAM: dict[str, Any] = {
    "owner": {"id": "99"},
    "team": {
        "owner_user_id": str(OWNER),
        "members": [
            {"user": {"id": str(OWNER)}, "membership_state": 2, "role": "admin"},
            {"user": {"id": str(MEMBER)}, "membership_state": 2, "role": "developer"},
            {"user": {"id": str(INVITED)}, "membership_state": 1, "role": "admin"},
            {"user": {"id": str(READER)}, "membership_state": 2, "role": "read_only"},
            {"user": {"id": str(OTHER_ROLE)}, "membership_state": 2, "role": "billing"},
            {"user": {"id": str(NO_ROLE)}, "membership_state": 2},
        ],
    },
}


class Http:
    """Discord's API, which answers with *application* or fails."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.requests = 0

    async def request(self, _route: object) -> Any:
        self.requests += 1
        if isinstance(self.application, Exception):
            raise self.application
        return self.application


class Client:
    def __init__(self, http: Http) -> None:
        self.http = http


class Scene:
    def __init__(self, application: Any, admins: set[int] | None = None) -> None:
        self.http, self.now = Http(application), 0.0
        client = cast("discord.Client", Client(self.http))
        named = frozenset(admins or set())
        self.operators = Operators(client, lambda: named, clock=lambda: self.now)

    async def all(self) -> set[int]:
        people = (OWNER, MEMBER, INVITED, READER, STRANGER, 99)
        return {one for one in people if await self.operators.include(one)}


@pytest.mark.parametrize(
    ("application", "expected"), [(ALONE, {OWNER}), (OF_A_TEAM, {OWNER, MEMBER})]
)
def test_the_owners_are_one_person_or_the_team(application: Any, expected: set[int]) -> None:
    """Not who is only invited, may only read, or has a role that nobody here knows."""
    assert owners_of(application) == expected


async def test_admins_of_the_settings_count_alone_and_need_no_request() -> None:
    scene = Scene(ALONE, {STRANGER})
    assert await scene.all() == {STRANGER}
    assert scene.http.requests == 0


async def test_the_owners_are_read_again_after_a_while() -> None:
    scene = Scene(ALONE)
    assert await scene.all() == {OWNER}
    scene.http.application = OF_A_TEAM
    assert await scene.all() == {OWNER}
    assert scene.http.requests == 1
    scene.now = FRESH_SECONDS
    assert await scene.all() == {OWNER, MEMBER}
    assert scene.http.requests == 2


@pytest.mark.parametrize("failure", [OSError("down"), {"owner": None}, "a page of a proxy"])
async def test_nobody_operates_the_bot_while_discord_does_not_say_who_owns_it(
    failure: Any,
) -> None:
    """Those who are known stay."""
    scene = Scene(failure)
    assert await scene.all() == set()
    scene.http.application = ALONE
    assert await scene.all() == {OWNER}
    scene.http.application, scene.now = failure, FRESH_SECONDS
    assert await scene.all() == {OWNER}

"""The verdict of the access lists on a person in a place."""

import random
from dataclasses import fields
from typing import Any, Final

import pytest

from bot.access import WORDS, AccessLists, Place, Rule, Verdict

CASES: Final = 1000  # random lists, each asked about
ASKED: Final = 30  # random people in random places
HERE = Place(1, (33, 22, 11))  # a thread, its channel and its category
DM = Place(None, (99,))
MINA, JUN, HELPERS, MUTED = 5, 6, 7, 8


def lists(**given: set[int]) -> AccessLists:
    return AccessLists(**{name: frozenset(ids) for name, ids in given.items()})  # type: ignore[arg-type]


def reference(
    lists: dict[str, Any], guild: int | None, ids: list[int], whole: bool, who: int, roles: Any
) -> bool:
    """Decide as operators.md 3.2 says it, written without a look at the program."""
    unsure_place = guild is not None and not whole
    if guild is None:
        roles = set()
    elif roles is not None:
        roles = {*roles, guild}
    unsure_roles = roles is None
    if guild in lists["blocked_guilds"] or who in lists["blocked_users"]:
        return False
    if any(one in lists["blocked_channels"] for one in ids):
        return False
    if lists["blocked_channels"] and unsure_place:
        return False
    if lists["blocked_roles"] and (unsure_roles or roles & lists["blocked_roles"]):
        return False
    if who in lists["admins"]:
        return True
    if guild is None:
        place_ok = lists["direct_messages"]
    else:
        guild_ok = not lists["allowed_guilds"] or guild in lists["allowed_guilds"]
        listed = any(one in lists["allowed_channels"] for one in ids)
        place_ok = guild_ok and (not lists["allowed_channels"] or listed)
    nobody_named = not lists["allowed_users"] and not lists["allowed_roles"]
    by_role = not unsure_roles and bool(roles & lists["allowed_roles"])
    return place_ok and (nobody_named or who in lists["allowed_users"] or by_role)


def some(chance: random.Random, most: int = 3) -> set[int]:
    """Return few of few ids, so that lists and what is asked often meet; often none."""
    return {chance.randint(1, 6) for _ in range(chance.choice((0, 0, 0, 1, most)))}


@pytest.mark.parametrize("seed", range(10))
def test_random_lists_decide_as_the_reference_does(seed: int) -> None:
    """A thousand random lists, and for each of them many people in many places."""
    chance = random.Random(seed)  # It makes examples, no secrets.
    met = set[Rule]()
    for _ in range(CASES // 10):
        drawn: Any = {
            one.name: some(chance) for one in fields(AccessLists) if one.name != "direct_messages"
        }
        frozen: Any = {name: frozenset(ids) for name, ids in drawn.items()}
        drawn["direct_messages"] = frozen["direct_messages"] = chance.random() < 0.7
        asked = AccessLists(**frozen)
        for _ in range(ASKED):
            guild = chance.choice((None, 1, 2, 3, 4))
            ids = [
                chance.randint(1, 6)
                for _ in range(1 if guild is None else chance.choice((1, 2, 3)))
            ]
            whole, who = chance.random() < 0.8, chance.randint(1, 6)
            roles = None if chance.random() < 0.2 else some(chance)
            verdict = asked.verdict(
                Place(guild, tuple(ids), complete=whole or guild is None),
                who,
                None if roles is None else frozenset(roles),
            )
            met.add(verdict.rule)
            wanted = reference(drawn, guild, ids, whole, who, roles)
            assert verdict.allowed is wanted, (drawn, guild, ids, whole, who, roles, verdict)
    assert met == {*Rule}, "the examples meet every rule"


@pytest.mark.parametrize(
    ("given", "place", "person", "roles", "verdict"),
    [
        ({}, HERE, MINA, None, Verdict(Rule.EVERYBODY)),
        ({"allowed_channels": {11}}, HERE, MINA, None, Verdict(Rule.EVERYBODY)),
        ({"allowed_channels": {12}}, HERE, MINA, None, Verdict(Rule.OTHER_CHANNEL, 33)),
        ({"allowed_channels": {12}}, DM, MINA, None, Verdict(Rule.EVERYBODY)),
        ({"blocked_channels": {11}}, HERE, MINA, None, Verdict(Rule.BLOCKED_CHANNEL, 11)),
        (
            {"blocked_channels": {12}},
            Place(1, (33, 22), complete=False),
            MINA,
            None,
            Verdict(Rule.UNKNOWN_CHANNEL, 22),
        ),
        ({"allowed_users": {MINA}}, HERE, JUN, None, Verdict(Rule.OTHER_PERSON, JUN)),
        (
            {"allowed_users": {MINA}, "allowed_roles": {HELPERS}},
            HERE,
            JUN,
            {HELPERS},
            Verdict(Rule.ALLOWED_ROLE, HELPERS),
        ),
        (
            {"allowed_users": {MINA}, "allowed_roles": {HELPERS}},
            HERE,
            MINA,
            None,
            Verdict(Rule.ALLOWED_USER, MINA),
        ),
        ({"allowed_roles": {HELPERS}}, HERE, JUN, None, Verdict(Rule.UNKNOWN_ROLES, JUN)),
        ({"allowed_roles": {HELPERS}}, DM, JUN, {HELPERS}, Verdict(Rule.OTHER_PERSON, JUN)),
        ({"allowed_roles": {1}}, HERE, JUN, set(), Verdict(Rule.ALLOWED_ROLE, 1)),
        (
            {"allowed_users": {MINA}, "blocked_roles": {MUTED}},
            HERE,
            MINA,
            {MUTED},
            Verdict(Rule.BLOCKED_ROLE, MUTED),
        ),
        ({"admins": {MINA}, "allowed_guilds": {2}}, HERE, MINA, None, Verdict(Rule.ADMIN, MINA)),
        (
            {"admins": {MINA}, "blocked_users": {MINA}},
            HERE,
            MINA,
            None,
            Verdict(Rule.BLOCKED_USER, MINA),
        ),
        ({"blocked_guilds": {1}}, HERE, MINA, None, Verdict(Rule.BLOCKED_GUILD, 1)),
    ],
)
def test_the_rule_that_decides(
    given: dict[str, set[int]], place: Place, person: int, roles: set[int] | None, verdict: Verdict
) -> None:
    known = None if roles is None else frozenset(roles)
    assert lists(**given).verdict(place, person, known) == verdict


def test_closed_direct_messages_are_open_to_admins() -> None:
    closed = AccessLists(direct_messages=False, admins=frozenset({MINA}))
    assert closed.verdict(DM, MINA, None) == Verdict(Rule.ADMIN, MINA)
    assert closed.verdict(DM, JUN, None) == Verdict(Rule.DIRECT_MESSAGES)


@pytest.mark.parametrize("rule", Rule)
def test_a_verdict_names_the_list_and_the_id(rule: Rule) -> None:
    """An operator finds the cause in one log line."""
    words = str(Verdict(rule, 4711))
    assert ("4711" in words) is ("{id}" in WORDS[rule])
    assert (
        rule in {Rule.EVERYBODY, Rule.UNKNOWN_CHANNEL, Rule.UNKNOWN_ROLES}
        or words.split(maxsplit=1)[0].isupper()
    )


@pytest.mark.parametrize(
    ("given", "guild", "served"),
    [
        ({}, 1, True),
        ({"allowed_guilds": {2}}, 1, False),
        ({"allowed_guilds": {2}, "admins": {MINA}}, 1, True),
        ({"blocked_guilds": {1}, "admins": {MINA}}, 1, False),
        ({"blocked_guilds": {1}}, None, True),
    ],
)
def test_a_guild_is_served_if_anybody_may_ask_there(
    given: dict[str, set[int]], guild: int | None, served: bool
) -> None:
    assert lists(**given).serves_guild(guild) is served


def test_what_is_blocked_later_wins_over_the_settings() -> None:
    changed = lists(blocked_users={MINA}, blocked_guilds={1}).overridden(
        users={MINA: False, JUN: True}, guilds={1: False, 2: True}
    )
    assert changed == lists(blocked_users={JUN}, blocked_guilds={2})


def test_lists_restrict_unless_they_only_name_admins() -> None:
    assert not lists(admins={MINA}).restrict
    assert lists(blocked_users={MINA}).restrict
    assert AccessLists(direct_messages=False).restrict

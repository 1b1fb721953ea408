"""What a member may do in a channel, compared with discord.py's own computation."""

import random
from typing import Any, Final

import discord
from hypothesis import given
from hypothesis import strategies as st

from bot.doctor.channel_permissions import allowed_in
from tests.world import CHANNEL, GUILD, ME, MEMBER, MINA, MY_ROLE, OTHER_ROLE, World, role, user

FUTURE: Final = "2999-01-01T00:00:00+00:00"
PAST: Final = "2001-01-01T00:00:00+00:00"
# The permissions that matter most are drawn as often as all others together.
BITS: Final = st.builds(
    lambda several: sum(1 << bit for bit in several),
    st.sets(st.sampled_from([3, 10, 11, 15, 16, 38])),
)
OVERWRITES: Final = st.lists(
    st.tuples(
        st.sampled_from([(GUILD, 0), (MY_ROLE, 0), (OTHER_ROLE, 0), (ME, 1), (MINA, 1)]), BITS, BITS
    ),
    max_size=6,
    unique_by=lambda one: one[0],
)


def overwrite(target: tuple[int, int], allow: int, deny: int) -> dict[str, Any]:
    return {"id": str(target[0]), "type": target[1], "allow": str(allow), "deny": str(deny)}


@given(
    everyone=BITS,
    mine=BITS,
    others=BITS,
    has=st.sets(st.sampled_from([MY_ROLE, OTHER_ROLE])),
    overwrites=OVERWRITES,
    until=st.sampled_from([None, PAST, FUTURE]),
    owner=st.sampled_from([MINA, ME]),
)
def test_permissions_are_those_that_discord_py_computes(
    everyone: int,
    mine: int,
    others: int,
    has: set[int],
    overwrites: list[tuple[tuple[int, int], int, int]],
    until: str | None,
    owner: int,
) -> None:
    """For any roles, overwrites and time-outs; the list of overwrites may come in any order."""
    listed = [overwrite(*one) for one in overwrites]
    channel: Any = {"id": str(CHANNEL), "type": 0, "name": "general", "position": 0}
    channel |= {"permission_overwrites": listed, "nsfw": False, "parent_id": None}
    me: Any = MEMBER | {
        "user": user(ME, "ChatBot"),
        "roles": [str(one) for one in sorted(has)],
        "communication_disabled_until": until,
    }
    guild: Any = {
        "id": str(GUILD),
        "owner_id": str(owner),
        "roles": [
            role(GUILD, "@everyone", everyone),
            role(MY_ROLE, "ChatBot", mine),
            role(OTHER_ROLE, "helpers", others),
        ],
    }
    state = World().state
    theirs = discord.Guild(data=guild | {"channels": [channel], "members": [me]}, state=state)
    place, member = theirs.get_channel(CHANNEL), theirs.get_member(ME)
    assert isinstance(place, discord.TextChannel)
    assert member is not None
    random.Random(everyone).shuffle(listed)
    # Without what a missing permission implies, such as Attach Files without Send Messages.
    expected = discord.abc.GuildChannel.permissions_for(place, member)
    assert allowed_in(channel, guild, me) == expected

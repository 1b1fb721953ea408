"""An answer to an interaction, written with the real discord.py into the stand-in Discord."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import discord
import pytest

from bot.conversation.reply_actions import ReplyAction
from bot.errors import ReplyDelayed, ReplyLost
from bot.replies.destination import Destination
from bot.replies.discord_reply import DiscordReply
from bot.replies.interaction_channel import InteractionChannel, InteractionMessage, TokenEnded
from bot.replies.parts import Part
from bot.sandbox.discord.state import State
from tests.reply_stage import Json, Stage, hurry, people, stage, state
from tests.sight import offered

__all__ = ["hurry", "people", "stage", "state"]

ASK = {"name": "ask", "description": "Ask", "type": 1, "contexts": [0, 1, 2]}
SUPPRESS_EMBEDS = 1 << 2
WORDS = "".join(f"word{number} " for number in range(900))
REGENERATE = frozenset({ReplyAction.REGENERATE})


class Asked:
    """A command that Jun gave, with its deferred answer."""

    def __init__(self, stage: Stage, state: State, place: str) -> None:
        self.stage, self._state, self.place = stage, state, place
        self.sees_place = True
        self.interaction_id = self.original_id = 0

    async def defer(self, *, private: bool = False) -> None:
        number = int(await self.stage.people.command(self.place, "Jun", "ask", {}))
        self.interaction_id = number
        token = self._state.interactions[number].token
        channel = self.channel(private=private)
        body = {"type": 5, "data": {"flags": 64 if private else 0}}
        path = f"{self.stage.people.api_url}/interactions/{number}/{token}/callback"
        async with channel._webhook.session.post(path, json=body) as response:
            assert response.status == 204
        self.original_id = (await channel.original()).id

    def channel(self, *, private: bool = False) -> InteractionChannel:
        async def find_place() -> Any:
            client = self.stage.client
            return await client.fetch_channel(int(self.place)) if self.sees_place else None

        token = self._state.interactions[self.interaction_id].token
        return InteractionChannel(
            self.stage.client,
            self.interaction_id,
            token,
            place_id=int(self.place),
            private=private,
            pressed_on=None,
            find_place=find_place,
        )

    def reply(self, *, private: bool = False, **options: Any) -> DiscordReply:
        place = Destination(self.channel(private=private), None, (Part(self.original_id, ""),))
        return self.stage.reply(nullcontext(place), **options)

    async def parts(self) -> list[Json]:
        found = await self.stage.people.messages(self.place)
        return [one for one in found if one["author"]["id"] == self.stage.people.bot_id]

    async def texts(self) -> list[str]:
        return [one["content"] for one in await self.parts()]


@pytest.fixture
async def asked(stage: Stage, state: State) -> Asked:
    client = stage.client
    assert client.application_id is not None
    await client.http.bulk_upsert_global_commands(client.application_id, [ASK])
    made = Asked(stage, state, str(stage.asked["channel_id"]))
    await made.defer()
    return made


async def end_token(stage: Stage, **settings: Any) -> None:
    await stage.people.settings(interaction_lifetime_seconds=0, **settings)


ENDS: list[Json] = [
    {"expired_token": "invalid_webhook_token"},
    {"expired_token": "unknown_webhook"},
    {"expired_token": "unknown_interaction"},
    {"expired_token": "not_found"},
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end["expired_token"])
async def test_an_answer_goes_on_by_the_bots_own_token(
    asked: Asked, stage: Stage, end: Json
) -> None:
    """In the same messages; further parts refer to those before them, and links have no preview."""
    async with asked.reply() as reply:
        reply.write("word0 ")
        await stage.until("word0")
        await end_token(stage, **end)
        reply.write(WORDS.removeprefix("word0 "))
        await reply.finish(["The end."], REGENERATE)
    parts = await asked.parts()
    assert " ".join(one["content"] for one in parts) == WORDS.strip() + "\n-# The end."
    assert int(parts[0]["id"]) == asked.original_id
    references = [one["message_reference"]["message_id"] for one in parts[1:]]
    assert references == [one["id"] for one in parts[:-1]]
    assert all(one["flags"] & SUPPRESS_EMBEDS for one in parts)
    assert [offered(one) for one in parts] == [[]] * (len(parts) - 1) + [[ReplyAction.REGENERATE]]
    statuses = [one["status"] for one in await stage.people.requests()]
    assert sum(status in {401, 404} for status in statuses) == 1


async def test_a_deferred_answer_is_filled_after_its_token_ended(
    asked: Asked, stage: Stage
) -> None:
    await end_token(stage)
    async with asked.reply() as reply:
        reply.write("See https://example.org now.")
        await reply.finish()
    [part] = await asked.parts()
    assert (int(part["id"]), part["content"]) == (asked.original_id, "See https://example.org now.")
    assert part["flags"] == SUPPRESS_EMBEDS, "it no longer loads"


async def test_a_post_without_the_token_is_made_once(asked: Asked, stage: Stage) -> None:
    """Discord knows the nonce if the response to the first attempt was lost."""
    await end_token(stage)
    path = r"/channels/\d+/messages$"
    await stage.people.fault("drop_after", method="POST", path=path)
    async with asked.reply() as reply:
        reply.write(WORDS)
        await reply.finish()
    assert " ".join(await asked.texts()) == WORDS.strip()


async def test_a_file_goes_with_a_post_without_the_token(asked: Asked, stage: Stage) -> None:
    await end_token(stage)
    async with asked.reply(max_parts=2) as reply:
        reply.write(WORDS)
        await reply.finish()
    assert [len(one["attachments"]) for one in await asked.parts()] == [0, 1]


async def test_an_archived_thread_is_reopened_with_and_without_the_token(
    stage: Stage, state: State, asked: Asked
) -> None:
    reopened = list[int]()
    asked.place = str((await stage.people.start_thread(asked.place, "Jun", "A talk"))["id"])
    await asked.defer()

    async def reopen(thread_id: int) -> None:
        reopened.append(thread_id)
        await stage.people.edit_channel(str(thread_id), archived=False)

    async with asked.reply(reopen=reopen) as reply:
        await stage.people.edit_channel(asked.place, archived=True)
        reply.write("One")
        await stage.until("One")
        await end_token(stage)
        await stage.people.edit_channel(asked.place, archived=True)
        reply.write(", two.")
        await reply.finish()
    assert await asked.texts() == ["One, two."]
    assert reopened == [int(asked.place)] * 2


@pytest.mark.parametrize(("private", "sees"), [(True, True), (False, False)])
async def test_an_answer_that_the_bot_cannot_see_ends_with_its_token(
    asked: Asked, stage: Stage, private: bool, sees: bool
) -> None:
    asked.sees_place = sees
    await asked.defer(private=private)
    async with asked.reply(private=private) as reply:
        await end_token(stage)
        reply.write("One.")
        with pytest.raises(ReplyLost, match="401, code 50027"):
            await reply.finish()


async def test_a_missing_route_is_tried_again_where_the_bot_sees_nothing(
    asked: Asked, stage: Stage
) -> None:
    """Status 404 without a code may be the end of the token, or a passing fault."""
    asked.sees_place = False
    body = {"code": 0, "message": "404: Not Found"}
    await stage.people.fault(
        "answer", method="PATCH", path="/webhooks/", count=2, status=404, body=body
    )
    async with asked.reply() as reply:
        reply.write("One.")
        await reply.finish()
    assert await asked.texts() == ["One."]


async def test_deleted_parts_are_not_taken_for_the_end_of_the_token(
    asked: Asked, stage: Stage
) -> None:
    await stage.people.delete(asked.place, str(asked.original_id))
    async with asked.reply() as reply:
        reply.write("One.")
        with pytest.raises(ReplyLost, match="it is deleted"):
            await reply.finish()


async def test_while_discord_is_down_it_is_not_known_whether_the_bot_sees_the_place(
    asked: Asked, stage: Stage
) -> None:
    async def fail() -> None:
        raise ReplyDelayed("it is down")

    await end_token(stage)
    channel = asked.channel()
    channel._find_place = fail
    place = Destination(channel, None, (Part(asked.original_id, ""),))
    async with stage.reply(nullcontext(place)) as reply:
        reply.write("One.")
        with pytest.raises(ReplyDelayed, match="it is down"):
            await reply.finish()


async def test_all_requests_notice_the_end_of_the_token(asked: Asked, stage: Stage) -> None:
    channel, part_id = asked.channel(), asked.original_id
    await end_token(stage)
    message = channel.get_partial_message(part_id)
    assert isinstance(message, InteractionMessage)
    nothing: Any = {"allowed_mentions": discord.AllowedMentions.none(), "view": None}
    requests: list[Callable[[], Any]] = [
        lambda: channel.text_of(part_id),
        channel.original,
        lambda: message.edit(content="x", **nothing),
        lambda: channel.send("x", suppress_embeds=True, files=(), **nothing),
        message.delete,
    ]
    for request in requests:
        with pytest.raises(TokenEnded):
            await request()
    assert await channel.use_bot_token()
    assert channel.id == int(asked.place)
    assert await channel.text_of(part_id) == ""
    assert (await channel.original()).id == part_id
    for request in requests[2:]:
        await request()
    assert await asked.texts() == ["x"]


async def test_an_answer_without_a_message_is_not_found(asked: Asked, stage: Stage) -> None:
    channel = asked.channel()
    assert await channel.use_bot_token()
    await stage.people.delete(asked.place, str(asked.original_id))
    with pytest.raises(ReplyLost, match="its token has expired"):
        await channel.original()

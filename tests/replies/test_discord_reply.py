"""A streamed reply, written with the real discord.py into the stand-in Discord."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import aiohttp
import pytest

from bot.conversation.reply_actions import NO_ACTIONS, ReplyAction
from bot.errors import ReplyBlocked, ReplyDelayed, ReplyLost
from bot.i18n.sentences import ENGLISH
from bot.markdown.splitter import MESSAGE_LIMIT
from bot.replies import reply_requests
from bot.replies.destination import Destination
from bot.replies.discord_reply import DiscordReply
from bot.replies.message_sync import FILE_NAME
from bot.replies.parts import Part
from bot.transport import calls as discord_calls
from bot.transport import pacer
from bot.transport.calls import DiscordUnavailable
from bot.transport.pacer import REQUESTS_PER_SECOND, Priority
from tests.doubles import PATIENCE_SECONDS
from tests.reply_stage import Json, Stage, StagedRecord, hurry, people, stage, state
from tests.sight import offered

__all__ = ["hurry", "people", "stage", "state"]

MESSAGES = r"/channels/\d+/messages$"
MESSAGE = r"/channels/\d+/messages/\d+$"
SUPPRESS_EMBEDS = 1 << 2
ARCHIVED = {"code": 50083, "message": "Thread is archived"}


@asynccontextmanager
async def written(stage: Stage, *deltas: str) -> AsyncIterator[DiscordReply]:
    """Open a reply with *deltas* written; it is left with the block."""
    async with asyncio.timeout(PATIENCE_SECONDS), stage.reply() as reply:
        for delta in deltas:
            reply.write(delta)
        yield reply


async def eventually(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for has no event
        await asyncio.sleep(0.002)


# A healthy stream


async def test_text_streams_and_the_end_is_shown_at_once(stage: Stage) -> None:
    async with written(stage, "One") as reply:
        await stage.until("One")
        reply.write(", two")
        await stage.until("One, two")
        reply.write(", three.")
        await reply.finish()
        assert await stage.texts() == ["One, two, three."]
    [message] = await stage.messages()
    assert stage.shown == [int(message["id"])]


async def test_replies_ping_nobody_and_suppress_previews(stage: Stage) -> None:
    """In every create and every edit."""
    async with written(stage, "@everyone <@1> https://example.org") as reply:
        await stage.until("example")
        reply.write(" more")
        await reply.finish()
    creates, edits = await stage.calls("POST"), await stage.calls("PATCH")
    assert creates
    assert edits
    for call in creates + edits:
        assert call["body"]["allowed_mentions"] == {"parse": []}
    assert all(call["body"]["flags"] & SUPPRESS_EMBEDS for call in creates)
    assert all("flags" not in call["body"] for call in edits)
    [message] = await stage.messages()
    assert message["flags"] & SUPPRESS_EMBEDS
    assert not message["pings"]


async def test_typing_is_shown_until_the_first_words(stage: Stage) -> None:
    async with written(stage) as reply:
        await stage.people.wait_for(lambda _: True, types=["typing"])
        reply.write("Words.")
        await stage.until("Words.")
        assert reply._typing.cancelled() or reply._typing.cancelling()
        await reply.finish()


async def test_a_long_reply_is_a_chain_of_messages(
    stage: Stage,
) -> None:
    words = [f"word{number} " for number in range(900)]
    async with written(stage, *words) as reply:
        await reply.finish(["The end."])
    messages = await stage.messages()
    assert len(messages) > 3
    assert all(len(message["content"]) <= MESSAGE_LIMIT for message in messages)
    said = " ".join(message["content"] for message in messages)
    assert said == "".join(words).strip() + "\n-# The end."
    references = [message["message_reference"]["message_id"] for message in messages]
    assert references == [stage.asked["id"], *(message["id"] for message in messages[:-1])]
    assert stage.shown == [int(message["id"]) for message in messages]


async def test_buttons_cost_no_request(stage: Stage) -> None:
    async with written(stage, "One") as reply:
        await stage.until("One")
        reply.write(", two.")
        await reply.finish((), frozenset({ReplyAction.REGENERATE}))
    created, edited = await stage.calls("POST"), await stage.calls("PATCH")
    assert [offered(one["body"]) for one in created] == [[ReplyAction.STOP]]
    assert [offered(one["body"]) for one in edited] == [[ReplyAction.REGENERATE]]


async def test_a_complete_reply_has_its_buttons_at_once(stage: Stage) -> None:
    async with written(stage, "All at once.") as reply:
        await reply.finish((), frozenset({ReplyAction.REGENERATE}))
    [created] = await stage.calls("POST")
    assert offered(created["body"]) == [ReplyAction.REGENERATE]
    assert await stage.calls("PATCH") == []


async def test_stop_is_removed_if_the_last_words_were_shown_before(stage: Stage) -> None:
    async with written(stage, "All.") as reply:
        await stage.until("All.")
        await reply.finish((), frozenset({ReplyAction.REGENERATE}))
    [message] = await stage.messages()
    assert offered(message) == [ReplyAction.REGENERATE]


async def attached(stage: Stage) -> list[str]:
    """Return the attachments of the bot's messages."""
    urls = [one["url"] for message in await stage.messages() for one in message["attachments"]]
    async with aiohttp.ClientSession() as web:
        return [await (await web.get(url)).text() for url in urls]


async def test_a_reply_that_is_too_long_ends_in_a_file(stage: Stage) -> None:
    words = [f"word{number} " for number in range(900)]
    async with stage.reply(max_parts=2) as reply:
        for word in words:
            reply.write(word)
        await stage.until("word200")
        await reply.finish(["The end."], frozenset({ReplyAction.REGENERATE}))
    first, last = await stage.messages()
    ending = f"\n-# {ENGLISH.reply_attached.format(name=FILE_NAME)}\n-# The end."
    assert last["content"].endswith(ending)
    assert len(last["content"]) <= MESSAGE_LIMIT
    assert "".join(words).startswith(f"{first['content']} {last['content'].removesuffix(ending)}")
    assert await attached(stage) == ["".join(words).strip() + "\n"]
    assert [len(one["components"]) for one in (first, last)] == [0, 1]


async def test_without_the_file_permission_all_text_is_in_messages(stage: Stage) -> None:
    deny = {"target": "ChatBot", "deny": ["ATTACH_FILES"]}
    await stage.people.edit_channel(stage.asked["channel_id"], overwrites=[deny])
    words = "".join(f"word{number} " for number in range(900))
    async with stage.reply(max_parts=2) as reply:
        reply.write(words)
        await reply.finish(["The end."])
    said = " ".join(await stage.texts())
    assert said == words.strip() + "\n-# The end."
    assert await attached(stage) == []


async def test_a_bounded_place_gets_a_notice_of_more_text(
    stage: Stage,
) -> None:
    """The setting would allow more messages, and no file may be attached."""
    deny = {"target": "ChatBot", "deny": ["ATTACH_FILES"]}
    await stage.people.edit_channel(stage.asked["channel_id"], overwrites=[deny])

    narrow = Destination(stage.channel, stage.question, max_posts=2, actions=NO_ACTIONS)
    words = "".join(f"word{number} " for number in range(900))
    async with stage.reply(nullcontext(narrow), max_parts=9) as reply:
        reply.write(words)
        await stage.until("word200")
        await reply.finish(["The end."], frozenset({ReplyAction.REGENERATE}))
    first, last = await stage.messages()
    ending = f"\n-# {ENGLISH.reply_too_long}\n-# The end."
    assert last["content"].endswith(ending)
    assert words.startswith(f"{first['content']} {last['content'].removesuffix(ending)}")
    assert [len(one["components"]) for one in (first, last)] == [0, 0]
    assert all(one["body"]["components"] == [] for one in await stage.calls("PATCH"))


async def test_a_shorter_replacement_has_no_file(stage: Stage) -> None:
    async with stage.reply(max_parts=2) as reply:
        reply.write("word " * 1200)
        await reply.finish()
    earlier = tuple(Part(part_id, None) for part_id in stage.shown)

    place = Destination(stage.channel, None, earlier)
    async with stage.reply(nullcontext(place), max_parts=2) as reply:
        reply.write("Short.")
        await reply.finish()
    assert await stage.texts() == ["Short."]
    assert await attached(stage) == []


async def test_a_slow_place_loses_nothing(stage: Stage) -> None:
    """The thread is made while the model speaks already."""
    found = asyncio.Event()

    @asynccontextmanager
    async def place() -> AsyncIterator[Destination]:
        await found.wait()
        yield Destination(stage.channel)

    async with stage.reply(place()) as reply:
        reply.write("One")
        await asyncio.sleep(0.01)
        reply.write(", two.")
        finishing = asyncio.create_task(reply.finish())
        await asyncio.sleep(0.01)
        found.set()
        await asyncio.wait_for(finishing, PATIENCE_SECONDS)
    [message] = await stage.messages()
    assert message["content"] == "One, two."
    assert "message_reference" not in message


@pytest.mark.parametrize(
    ("deltas", "notices", "texts"),
    [
        ([], [], []),
        ([" ", "\n"], [], []),
        ([], ["Sorry."], ["Sorry."]),
        ([], ["Sorry.", "Really."], ["Sorry.\nReally."]),
        (["Hello."], ["Sorry.", "Really."], ["Hello.\n-# Sorry.\n-# Really."]),
        (["```py\nx = 1"], [], ["```py\nx = 1\n```"]),
    ],
)
async def test_the_end_shows_text_and_notices(
    stage: Stage, deltas: list[str], notices: list[str], texts: list[str]
) -> None:
    async with written(stage, *deltas) as reply:
        await reply.finish(notices)
    assert await stage.texts() == texts


async def test_leaving_early_keeps_the_shown_text(stage: Stage) -> None:
    async with written(stage, "One") as reply:
        await stage.until("One")
        reply.write(", two")
    assert (await stage.texts())[0].startswith("One")
    assert all(task.done() for task in (reply._typing, reply._streaming, reply._opening))


async def test_a_busy_bot_sends_no_typing(stage: Stage) -> None:
    """Words go first: typing is for when there is room."""
    for _ in range(REQUESTS_PER_SECOND[Priority.TYPING]):
        async with stage.pacer.slot(Priority.FINAL):
            pass
    async with written(stage) as reply:
        await asyncio.sleep(0.02)
        await reply.finish(["Sorry."])
    assert not [one for one in await stage.people.requests() if "typing" in one["path"]]


async def test_the_end_cancels_a_pending_edit(stage: Stage) -> None:
    """Only the call that already runs is awaited; other intermediate edits are dropped."""
    async with written(stage, "word " * 1500) as reply:
        await eventually(lambda: reply._requests.in_flight)
        await reply.finish(["The end."])
    creates, edits = await stage.calls("POST"), await stage.calls("PATCH")
    assert (len(creates), len(edits)) == (len(await stage.messages()), 0)
    assert " ".join(await stage.texts()).split() == ["word"] * 1500 + ["-#", "The", "end."]


# What goes wrong on the way


@pytest.mark.parametrize("action", ["drop", "drop_after"])
async def test_a_create_with_a_lost_response_makes_one_message(stage: Stage, action: str) -> None:
    await stage.people.fault(action, method="POST", path=MESSAGES)
    async with written(stage, "One") as reply:
        await stage.until("One")
        reply.write(", two.")
        await reply.finish()
    assert await stage.texts() == ["One, two."]


async def test_an_end_after_a_lost_create_shows_the_whole_text(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord returns the earlier message for the nonce, with the earlier words."""
    monkeypatch.setattr(reply_requests, "REPLY_RETRY_SECONDS", (60.0,) * 4)
    await stage.people.fault("drop_after", method="POST", path=MESSAGES)
    async with written(stage, "One") as reply:
        await stage.until("One")
        await eventually(lambda: not reply._requests.in_flight)
        reply.write(", two.")
        await reply.finish()
    assert await stage.texts() == ["One, two."]
    assert len(stage.shown) == 1


async def test_a_failed_create_is_repeated(stage: Stage) -> None:
    await stage.people.fault("answer", method="POST", path=MESSAGES, status=503, count=3)
    async with written(stage, "One.") as reply:
        await reply.finish()
    assert await stage.texts() == ["One."]


async def test_a_failed_edit_of_growing_text_is_dropped(stage: Stage) -> None:
    async with written(stage, "One") as reply:
        await stage.until("One")
        await stage.people.fault("answer", method="PATCH", path=MESSAGE, status=503)
        reply.write(", two")
        await stage.people.wait_for(lambda one: one["data"]["status"] == 503, types=["request"])
        reply.write(", three.")
        await reply.finish()
    assert await stage.texts() == ["One, two, three."]


async def test_the_next_message_waits_for_the_full_one(stage: Stage) -> None:
    """Otherwise both messages would show its end."""
    async with written(stage, "word " * 395) as reply:
        await stage.until("word")
        await eventually(lambda: bool(stage.shown))
        await stage.people.fault("answer", method="PATCH", path=MESSAGE, status=503, count=3)
        reply.write("\n\n" + "more " * 100)
        await stage.until("more")
        edits = [call["status"] for call in await stage.calls("PATCH")]
        assert edits == [503, 503, 503, 200]
        [first, second] = await stage.messages()
        assert [offered(first), offered(second)] == [[], [ReplyAction.STOP]]
        await reply.finish()
    assert await stage.texts() == [("word " * 395).strip(), ("more " * 100).strip()]


async def test_the_last_edit_is_retried_until_it_is_hopeless(stage: Stage) -> None:
    async with written(stage, "One") as reply:
        await stage.until("One")
        await stage.people.fault("answer", method="PATCH", path=MESSAGE, status=503, count=None)
        reply.write(", two.")
        with pytest.raises(ReplyDelayed, match="DiscordServerError"):
            await reply.finish()
    assert await stage.texts() == ["One"]


# What an earlier attempt began


async def send_parts(stage: Stage, *texts: str) -> tuple[Part, ...]:
    """Leave parts behind, as an attempt does that a crash ended; return them."""
    sent = [await stage.channel.send(text) for text in texts]
    stage.shown += [message.id for message in sent]
    return tuple(Part(message.id, text) for message, text in zip(sent, texts, strict=True))


def over(stage: Stage, parts: tuple[Part, ...]) -> AbstractAsyncContextManager[Destination]:
    return nullcontext(Destination(stage.channel, stage.question, parts))


async def test_an_answer_continues_in_its_messages(stage: Stage) -> None:
    """Parts are overwritten in order; surplus parts are deleted, and known to be deleted."""
    parts = await send_parts(stage, "Beca", "use of", "this")
    async with stage.reply(over(stage, parts)) as reply:
        assert await reply.shown_text() == "Beca\nuse of\nthis"
        reply.write("Because.")
        await reply.finish()
    [message] = await stage.messages()
    assert (message["id"], message["content"]) == (str(parts[0].message_id), "Because.")
    assert stage.shown == [parts[0].message_id]


async def test_a_partial_answer_stays_until_the_new_one_is_as_long(stage: Stage) -> None:
    parts = await send_parts(stage, "As much as was written before")
    async with stage.reply(over(stage, parts)) as reply:
        reply.write("As")
        await asyncio.sleep(0.2)
        assert await stage.texts() == ["As much as was written before"]
        reply.write(" much as was written before, and more")
        await stage.until("and more")
        await reply.finish()
    assert await stage.texts() == ["As much as was written before, and more"]


async def test_text_of_a_lost_create_stays_until_the_new_text_is_as_long(stage: Stage) -> None:
    """Discord knows the nonce and returns the existing message, even with another text."""
    nonce = f"{stage.asked['id']}.0"
    await stage.channel.send("As much as was written before", nonce=nonce)
    async with stage.reply() as reply:
        reply.write("As")
        await eventually(lambda: bool(stage.shown))
        assert await stage.texts() == ["As much as was written before"]
        reply.write(" much as was written before, and more")
        await stage.until("and more")
        reply.restart()
        reply.write("Or less.")
        await reply.finish()
    assert await stage.texts() == ["Or less."]


async def test_an_adopted_message_gets_its_button(stage: Stage) -> None:
    """For example, after a shutdown that said the answer would continue."""
    parts = await send_parts(stage, "As much as was written before\n-# It goes on.")
    async with stage.reply(over(stage, parts)) as reply:
        reply.write("As")
        await stage.people.wait_for(is_edit, types=["message_update"])
        [message] = await stage.messages()
        assert offered(message) == [ReplyAction.STOP]
        assert message["content"] == "As much as was written before\n-# It goes on."
        await reply.finish()


async def test_last_message_has_the_button_while_the_text_grows_above_it(
    stage: Stage,
) -> None:
    """The old reply's buttons are replaced even before the new text reaches its message."""
    async with stage.reply() as reply:
        reply.write("word " * 1000)
        await reply.finish((), frozenset({ReplyAction.REGENERATE}))
    old = await stage.texts()
    parts = tuple(Part(part_id, None) for part_id in stage.shown)
    async with stage.reply(over(stage, parts)) as reply:
        reply.write("New")
        await stage.until("New")
        assert [offered(one) for one in await stage.messages()] == [[], [], [ReplyAction.STOP]]
        assert await stage.texts() == ["New", *old[1:]]
        reply.write(" words.")
        await reply.finish((), frozenset({ReplyAction.REGENERATE}))
    [message] = await stage.messages()
    assert (message["content"], offered(message)) == ("New words.", [ReplyAction.REGENERATE])


def is_edit(event: Json) -> bool:
    return bool(event["data"]["reason"] == "edit")


async def test_the_shown_text_is_returned_without_its_notice(stage: Stage) -> None:
    parts = await send_parts(stage, f"Beca\n-# {ENGLISH.interrupted}")
    async with stage.reply(over(stage, parts)) as reply:
        assert await reply.shown_text() == "Beca"


async def test_a_replaced_text_drops_the_unsettled_one(stage: Stage) -> None:
    async with stage.reply() as reply:
        reply.write("| a | b |\n|---|---|\n| 1 |")
        reply.restart()
        reply.write("New, **bold")
        reply.write("** and $x^2$.")
        await reply.finish()
    assert await stage.texts() == ["New, **bold** and x²."]


async def test_messages_of_a_replaced_text_are_deleted_at_once(stage: Stage) -> None:
    """Thinking may fill many messages and the answer few; people see only the answer."""
    async with written(stage, "thought " * 700) as reply:
        await eventually(lambda: len(stage.shown) > 2)
        reply.restart()
        reply.write("New")
        await stage.until("New")
        [message] = await stage.messages()
        assert (message["content"], offered(message)) == ("New", [ReplyAction.STOP])
        reply.write(" words" * 500)
        await eventually(lambda: len(stage.shown) > 1)
        assert all("thought" not in text for text in await stage.texts())
        await reply.finish()
    assert " ".join(await stage.texts()) == "New" + " words" * 500


async def test_a_bounded_place_reuses_messages_of_a_replaced_text(
    stage: Stage,
) -> None:
    narrow = Destination(stage.channel, stage.question, max_posts=4)
    async with stage.reply(nullcontext(narrow)) as reply:
        reply.write("thought " * 700)
        await eventually(lambda: len(stage.shown) == 3)
        shown = list(stage.shown)
        reply.restart()
        reply.write("New" + " words" * 500)
        await reply.finish()
    assert [int(one["id"]) for one in await stage.messages()] == shown[:2]


async def test_deleting_a_reply_deletes_the_messages_that_are_left(stage: Stage) -> None:
    parts = await send_parts(stage, "Beca", "use")
    await stage.people.delete(stage.asked["channel_id"], str(parts[1].message_id))
    async with stage.reply(over(stage, parts)) as reply:
        await reply.delete()
    assert await stage.messages() == []
    assert stage.shown == []


async def test_a_message_is_deleted_only_after_it_is_recorded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord tells of the deletion, and it would pass for one by a person."""
    parts = await send_parts(stage, "Beca", "use")

    async def fail(_record: StagedRecord, _message_id: int) -> None:
        raise ReplyDelayed("no memory")

    monkeypatch.setattr(StagedRecord, "remove", fail)
    async with stage.reply(over(stage, parts)) as reply:
        reply.write("Because.")
        with pytest.raises(ReplyDelayed, match="no memory"):
            await reply.finish()
    assert await stage.texts() == ["Because.", "use"]
    assert stage.shown == [part.message_id for part in parts]


async def test_a_part_created_while_leaving_is_recorded(stage: Stage) -> None:
    """Else it would stay behind when the question is deleted."""
    await stage.people.fault("delay", method="POST", path=MESSAGES, seconds=0.3, after=True)
    async with stage.reply() as reply:
        reply.write("One")
        await stage.until("One")
    [message] = await stage.messages()
    assert stage.shown == [int(message["id"])]


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, "<html>Welcome</html>", {}),
        (200, {"message": "nothing like a message"}, {}),
        (429, "error code: 1015", {"Via": "", "Retry-After": "1"}),
    ],
    ids=["a page", "no message", "refused by Cloudflare"],
)
async def test_an_invalid_response_is_requested_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, status: int, body: Any, headers: Json
) -> None:
    monkeypatch.setattr(discord_calls, "CLOUDFLARE_SECONDS", (0.05, 1.0))
    spec = {"status": status, "body": body, "headers": headers}
    await stage.people.fault("answer", method="POST", path=MESSAGES, **spec)
    async with written(stage, "One.") as reply:
        await reply.finish()
    assert await stage.texts() == ["One."]
    assert len(stage.shown) == 1


async def test_a_deleted_question_is_answered_without_a_reference(stage: Stage) -> None:
    await stage.people.delete(stage.asked["channel_id"], stage.asked["id"])
    async with written(stage, "One.") as reply:
        await reply.finish()
    assert await stage.texts() == ["One."]


async def test_without_the_history_permission_the_answer_has_no_reference(stage: Stage) -> None:
    body = {"code": 160002, "message": "Cannot reply without permission to read message history"}
    await stage.people.fault("answer", method="POST", path=MESSAGES, status=400, body=body)
    async with written(stage, "One.") as reply:
        await reply.finish()
    [message] = await stage.messages()
    assert message["content"] == "One."
    assert "message_reference" not in message


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, 50013, "Discord refuses it: status 403, code 50013"),
        (403, 50007, "the person takes no messages from the bot"),
        (404, 10003, "it is deleted"),
        (400, 160005, "the thread is locked, and the permission Manage Threads is missing"),
        (400, 50007, "the person takes no messages from the bot"),
        (401, 50027, "the token of the interaction has expired: status 401, code 50027"),
    ],
)
async def test_a_refused_place_ends_the_reply(
    stage: Stage, status: int, code: int, reason: str
) -> None:
    """The next write raises the error, so the rest of the model's answer is not read."""
    body = {"code": code, "message": "No."}
    await stage.people.fault(
        "answer", method="POST", path=MESSAGES, status=status, body=body, count=None
    )
    async with written(stage, "One") as reply:
        await asyncio.wait({reply._streaming})
        with pytest.raises(ReplyLost, match=reason):
            reply.write(", two")
        with pytest.raises(ReplyLost, match=reason):
            await reply.finish()
    assert len(await stage.calls("POST")) == 1


async def test_a_place_that_refuses_edits_is_not_tried_again(stage: Stage) -> None:
    """Discord counts requests that are refused."""
    body = {"code": 50013, "message": "Missing Permissions"}
    async with written(stage, "One") as reply:
        await stage.until("One")
        await stage.people.fault(
            "answer", method="PATCH", path=MESSAGE, status=403, body=body, count=None
        )
        reply.write(", two")
        await asyncio.wait({reply._streaming})
        for end in (reply.finish(), reply.keep_shown(["Sorry."], NO_ACTIONS)):
            with pytest.raises(ReplyLost, match="50013"):
                await end
        reply.restart()
        reply.write("Another.")
        with pytest.raises(ReplyLost, match="50013"):
            await reply.finish()
    assert len(await stage.calls("PATCH")) == 1


async def test_stop_is_removed_if_no_message_can_be_posted(stage: Stage) -> None:
    body = {"code": 50013, "message": "Missing Permissions"}
    async with written(stage, "word " * 100) as reply:
        await stage.until("word")
        await stage.people.fault(
            "answer", method="POST", path=MESSAGES, status=403, body=body, count=None
        )
        reply.write("word " * 500)
        with pytest.raises(ReplyLost, match="50013"):
            await reply.finish()
        await reply.keep_shown((), NO_ACTIONS)
    [message] = await stage.messages()
    assert offered(message) == []
    assert message["content"].startswith("word")


async def test_a_second_refusal_without_the_reference_ends_the_reply(stage: Stage) -> None:
    for skip, status, code in ((0, 400, 160002), (1, 403, 50013)):
        body = {"code": code, "message": "No."}
        await stage.people.fault(
            "answer", method="POST", path=MESSAGES, status=status, body=body, skip=skip
        )
    async with written(stage, "One") as reply:
        with pytest.raises(ReplyLost, match="status 403, code 50013"):
            await reply.finish()


async def test_a_thread_that_stays_archived_is_reopened_once(stage: Stage) -> None:
    opened: list[int] = []

    async def reopen(thread_id: int) -> None:
        opened.append(thread_id)

    await stage.people.fault(
        "answer", method="POST", path=MESSAGES, status=400, body=ARCHIVED, count=None
    )
    async with stage.reply(reopen=reopen) as reply:
        reply.write("One")
        with pytest.raises(ReplyLost, match="400, code 50083"):
            await reply.finish()
    assert opened == [stage.channel.id]


async def test_a_thread_that_cannot_be_reopened_delays_the_end(stage: Stage) -> None:
    async def reopen(_thread_id: int) -> None:
        raise DiscordUnavailable("it fails")

    await stage.people.fault(
        "answer", method="PATCH", path=MESSAGE, status=400, body=ARCHIVED, count=None
    )
    async with stage.reply(reopen=reopen) as reply:
        reply.write("One")
        await stage.until("One")
        reply.write(", two.")
        with pytest.raises(ReplyDelayed, match="it fails"):
            await reply.finish()
    assert await stage.texts() == ["One"]


async def test_a_message_that_is_deleted_while_it_grows_ends_the_reply(stage: Stage) -> None:
    async with written(stage, "One") as reply:
        await stage.until("One")
        await eventually(lambda: bool(stage.shown))
        await stage.people.delete(stage.asked["channel_id"], str(stage.shown[0]))
        reply.write(", two.")
        with pytest.raises(ReplyLost, match="it is deleted"):
            await reply.finish()


async def test_the_end_raises_if_the_place_is_not_found(stage: Stage) -> None:
    class Nowhere(nullcontext[Destination]):
        async def __aenter__(self) -> Destination:
            raise ReplyLost("nowhere")

    async with stage.reply(Nowhere(Destination(stage.channel))) as reply:
        reply.write("One")
        with pytest.raises(ReplyLost, match="nowhere"):
            await reply.finish()


# What Discord does not let it say

BLOCKED = "Blocked here."
REGENERATE = frozenset({ReplyAction.REGENERATE})
REFUSALS = [
    *((status, code) for status in (400, 403) for code in (200000, 240000, 20009, 50035)),
    *((400, 0), (400, 99999), (410, 0), (422, 0)),
]


async def refuse(stage: Stage, pattern: str, status: int = 400, code: int = 200000) -> None:
    await stage.people.refuse("text", pattern=pattern, status=status, code=code)


@pytest.mark.parametrize(("status", "code"), REFUSALS)
async def test_a_reply_with_refused_text_can_show_a_notice(
    stage: Stage, status: int, code: int
) -> None:
    """The next write raises ReplyBlocked; if no text is shown, only the notice is."""
    await refuse(stage, "bad", status, code)
    async with written(stage, "Some bad") as reply:
        await asyncio.wait({reply._streaming})
        with pytest.raises(ReplyBlocked, match=f"{status}, code {code}"):
            reply.write(" words")
        with pytest.raises(ReplyBlocked):
            await reply.finish()
        assert await reply.shown_text() == ""
        await reply.keep_shown([BLOCKED], REGENERATE)
    [message] = await stage.messages()
    assert (message["content"], offered(message)) == (BLOCKED, [ReplyAction.REGENERATE])
    assert len(await stage.calls("POST")) == 2


async def test_shown_text_is_kept_if_the_rest_is_refused(stage: Stage) -> None:
    await refuse(stage, "bad")
    async with written(stage, "One") as reply:
        await stage.until("One")
        reply.write(", and bad words.")
        with pytest.raises(ReplyBlocked):
            await reply.finish(["The end."], REGENERATE)
        assert await reply.shown_text() == "One"
        await reply.keep_shown([BLOCKED], REGENERATE)
    [message] = await stage.messages()
    assert message["content"] == f"One\n-# {BLOCKED}"
    assert offered(message) == [ReplyAction.REGENERATE]


async def test_messages_before_a_refused_one_stay_unchanged(stage: Stage) -> None:
    await refuse(stage, "bad")
    async with written(stage, "word " * 1000) as reply:
        await eventually(lambda: len(stage.shown) == 3)
        before = await stage.texts()
        reply.write("bad " + "word " * 1000)
        with pytest.raises(ReplyBlocked):
            await reply.finish()
        await reply.keep_shown([BLOCKED], REGENERATE)
    assert await stage.texts() == [*before[:2], f"{before[2]}\n-# {BLOCKED}"]
    assert [offered(one) for one in await stage.messages()] == [[], [], [ReplyAction.REGENERATE]]


async def test_stop_is_removed_if_the_notice_is_refused(stage: Stage) -> None:
    await refuse(stage, "bad|Blocked")
    async with written(stage, "One") as reply:
        await stage.until("One")
        reply.write(", and bad words.")
        with pytest.raises(ReplyBlocked):
            await reply.finish()
        with pytest.raises(ReplyBlocked):
            await reply.keep_shown([BLOCKED], REGENERATE)
    [message] = await stage.messages()
    assert (message["content"], offered(message)) == ("One", [ReplyAction.REGENERATE])


async def test_nothing_is_shown_if_everything_is_refused(stage: Stage) -> None:
    await refuse(stage, "")
    async with written(stage, "One") as reply:
        for end in (reply.finish(), reply.keep_shown([BLOCKED], REGENERATE)):
            with pytest.raises(ReplyBlocked):
                await end
    assert await stage.messages() == []


async def test_text_of_an_earlier_attempt_is_kept_without_its_buttons(
    stage: Stage,
) -> None:
    parts = await send_parts(stage, "many words", f"and more\n-# {ENGLISH.interrupted}")
    await refuse(stage, "bad")
    async with stage.reply(over(stage, parts)) as reply:
        reply.write("bad words " * 300)
        with pytest.raises(ReplyBlocked):
            await reply.finish()
        assert await reply.shown_text() == "many words\nand more"
        await reply.keep_shown([BLOCKED], REGENERATE)
    assert await stage.texts() == ["many words", f"and more\n-# {BLOCKED}"]


async def test_text_that_replaces_a_refused_one_is_shown(stage: Stage) -> None:
    """For example, the earlier reply after a failed Regenerate."""
    await refuse(stage, "bad")
    parts = await send_parts(stage, "Old.")
    async with stage.reply(over(stage, parts)) as reply:
        reply.write("New words")
        await stage.until("New words")
        reply.write(", and bad ones.")
        with pytest.raises(ReplyBlocked):
            await reply.finish()
        reply.restart()
        reply.write("Old.")
        await reply.finish([BLOCKED], REGENERATE)
    [message] = await stage.messages()
    assert (message["content"], offered(message)) == (
        f"Old.\n-# {BLOCKED}",
        [ReplyAction.REGENERATE],
    )


async def test_a_replaced_text_is_removed_if_the_next_is_refused(stage: Stage) -> None:
    await refuse(stage, "bad")
    async with written(stage, "thought " * 400) as reply:
        await eventually(lambda: len(stage.shown) == 2)
        reply.restart()
        reply.write("bad")
        with pytest.raises(ReplyBlocked):
            await reply.finish()
        assert await reply.shown_text() == ""
        await reply.keep_shown([BLOCKED], REGENERATE)
    assert await stage.texts() == [BLOCKED]


@pytest.mark.parametrize(("max_posts", "count"), [(None, 2), (1, 1)])
async def test_a_notice_under_a_full_message_gets_its_own_message(
    stage: Stage, max_posts: int | None, count: int
) -> None:
    parts = await send_parts(stage, "x" * MESSAGE_LIMIT)

    place = Destination(stage.channel, stage.question, parts, max_posts=max_posts)
    async with stage.reply(nullcontext(place)) as reply:
        await reply.keep_shown([BLOCKED], REGENERATE)
    texts = await stage.texts()
    assert len(texts) == count
    assert texts[-1].endswith(BLOCKED)
    assert len(texts[0]) == MESSAGE_LIMIT


FILE_REFUSALS: list[tuple[str, Json]] = [
    *(("file", {"status": status, "code": 400001}) for status in (400, 403)),
    ("file_over_limit", {}),
    ("file_invalid", {"status": 403}),
    ("request_over_limit", {}),
    *(("file", {"status": status, "code": 0}) for status in (400, 415, 422)),
]


async def named_without_file(stage: Stage) -> list[str]:
    """Return the texts that Discord accepted without a file although they name one."""
    calls = [*await stage.calls("POST"), *await stage.calls("PATCH")]
    return [
        one["body"]["content"]
        for one in calls
        if one["status"] == 200 and not one["files"] and FILE_NAME in one["body"].get("content", "")
    ]


@pytest.mark.parametrize("streamed", [True, False], ids=["edited", "posted"])
@pytest.mark.parametrize(("kind", "more"), FILE_REFUSALS)
async def test_a_refused_file_is_shown_as_messages(
    stage: Stage, kind: str, more: Json, streamed: bool
) -> None:
    """At no time does a sentence name a file that is not there."""
    await stage.people.refuse(kind, **more)
    words = "".join(f"word{number} " for number in range(900))
    async with stage.reply(max_parts=2) as reply:
        reply.write(words)
        if streamed:
            await eventually(lambda: len(stage.shown) == 2)
        await reply.finish(["The end."])
    said = " ".join(await stage.texts())
    assert said == words.strip() + "\n-# The end."
    assert await attached(stage) == []
    assert await named_without_file(stage) == []


async def test_text_after_a_refused_file_may_be_refused_too(stage: Stage) -> None:
    """Neither the shown nor the stored text contains the sentence about the file."""
    await stage.people.refuse("uploads_limited")
    await stage.people.refuse("text", pattern="word500")
    words = "".join(f"word{number} " for number in range(900))
    async with stage.reply(max_parts=2) as reply:
        reply.write(words)
        with pytest.raises(ReplyBlocked):
            await reply.finish()
        assert words.startswith(await reply.shown_text())
    assert await named_without_file(stage) == []


@pytest.mark.parametrize("status", [403, 413, 503])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_file_that_a_proxy_refuses_is_shown_as_messages(
    stage: Stage, method: str, status: int
) -> None:
    """413 counts as Discord's own answer; other pages are repeated first, as they may pass."""
    tries = 1 if status == 413 else 1 + len(reply_requests.REPLY_RETRY_SECONDS)
    more: Json = {"status": status, "body": f"<html>{status}</html>", "count": tries}
    path = MESSAGES if method == "POST" else MESSAGE
    async with stage.reply(max_parts=1) as reply:
        if method == "PATCH":
            reply.write("word ")
            await stage.until("word")
        await stage.people.fault("answer", method=method, path=path, **more)
        reply.write("word " * (499 if method == "PATCH" else 500))
        await reply.finish()
    assert " ".join(await stage.texts()) == ("word " * 500).strip()
    assert await attached(stage) == []


async def test_a_file_may_be_posted_with_its_message(stage: Stage) -> None:
    async with stage.reply(max_parts=1) as reply:
        reply.write("word " * 500)
        await reply.finish()
    [created] = await stage.calls("POST")
    assert [one["filename"] for one in created["files"]] == [FILE_NAME]
    assert await stage.calls("PATCH") == []


async def test_a_post_with_a_lost_response_has_its_file(stage: Stage) -> None:
    await stage.people.fault("drop_after", method="POST", path=MESSAGES)
    async with stage.reply(max_parts=1) as reply:
        reply.write("word " * 500)
        await reply.finish()
    assert await attached(stage) == [("word " * 500).strip() + "\n"]
    assert len(await stage.messages()) == 1


async def test_a_file_is_added_to_a_message_that_lacks_it(stage: Stage) -> None:
    """Discord may know the nonce, and return the message of an earlier attempt."""
    async with stage.reply(max_parts=1) as reply:
        reply.write("word " * 500)
        await reply.finish()
    [message] = await stage.messages()
    place, text = stage.asked["channel_id"], message["content"]
    await stage.people.edit(place, message["id"], text, attachments=[])
    async with stage.reply(max_parts=1) as reply:
        reply.write("word " * 500)
        await reply.finish()
    assert len(await stage.messages()) == 1
    assert await attached(stage) == [("word " * 500).strip() + "\n"]


# Messages older than an hour

SHORT_WINDOW = 0.6  # seconds, instead of 6


async def old_parts(stage: Stage, monkeypatch: pytest.MonkeyPatch, *texts: str) -> tuple[Part, ...]:
    """Let these be the parts of an answer that is two hours old; return them."""
    monkeypatch.setattr(pacer, "OLD_EDIT_WINDOW_SECONDS", SHORT_WINDOW)
    limit = {"limit": 3, "window_seconds": SHORT_WINDOW}
    await stage.people.settings(buckets={"old_message_edit": limit})
    place = str((await stage.people.create_channel("old place"))["id"])
    stage.ask_in(await stage.people.say(place, "Mina", "Why?", ago_seconds=7300))
    parts = list[Part]()
    for number, text in enumerate(texts):
        shown = await stage.people.say(place, stage.people.bot_id, text, ago_seconds=7200 - number)
        parts.append(Part(int(shown["id"]), text))
        stage.shown.append(int(shown["id"]))
    return tuple(parts)


async def edit_statuses(stage: Stage) -> list[int]:
    return [one["status"] for one in await stage.calls("PATCH")]


async def test_an_old_answer_is_written_over_at_the_pace_of_its_age(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord refuses no edit, and the end does not wait."""
    parts = await old_parts(stage, monkeypatch, "Old.")
    async with stage.reply(over(stage, parts)) as reply:
        for _ in range(60):
            reply.write("word ")
            await asyncio.sleep(0.04)
        reply.write("end.")
        begun = time.monotonic()
        await reply.finish((), frozenset({ReplyAction.REGENERATE}))
        assert time.monotonic() - begun < SHORT_WINDOW / 2
    assert await stage.texts() == ["word " * 60 + "end."]
    statuses = await edit_statuses(stage)
    assert set(statuses) == {200}
    assert len(statuses) >= 6, "and people see it grow"


async def test_several_old_messages_share_the_limit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long answer that is there at once goes into five old messages."""
    parts = await old_parts(stage, monkeypatch, *(f"Old {number}." for number in range(5)))
    words = "".join(f"word{number} " for number in range(1000))
    async with stage.reply(over(stage, parts)) as reply:
        reply.write(words)
        await reply.finish((), frozenset({ReplyAction.REGENERATE}))
    assert " ".join(await stage.texts()) == words.strip()
    assert set(await edit_statuses(stage)) == {200}


async def test_young_messages_after_old_ones_stream_at_the_usual_pace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = await old_parts(stage, monkeypatch, "Old.")
    async with stage.reply(over(stage, parts)) as reply:
        reply.write("word " * 500)
        await eventually(lambda: len(stage.shown) == 2)
        before = len(await stage.calls("PATCH"))
        for _ in range(10):
            reply.write("more ")
            await asyncio.sleep(0.05)
        assert len(await stage.calls("PATCH")) - before > 5
        await reply.finish()
    assert set(await edit_statuses(stage)) == {200}

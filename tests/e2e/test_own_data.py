"""The data of a person: /privacy, /export, /forget-me and RETENTION_DAYS."""

import json
from typing import Any

import aiohttp
import pytest

from bot.commands.privacy import EXPORT_NAME, FORGET, USAGE_NAME
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.faults.points import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNTED = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}


async def counted(stage: Stage, person: str) -> None:
    """Return when the usage of a person is stored, which happens after the answer."""
    user = int((await stage.discord.look())["users"][person])

    async def is_counted() -> bool:
        return bool(stage.rows("SELECT 1 FROM usage WHERE person_id = ?", user))

    await until(is_counted)


async def exported(stage: Stage, channel: str, by: str) -> list[dict[str, Any]]:
    """Return the exchanges that /export sends to *by*."""
    answer = await response_to(stage, await stage.discord.command(channel, by, "export", {}))
    found = await file_of(answer, EXPORT_NAME)
    assert answer["content"] == ENGLISH.export_done.format(count=len(found))
    return found


async def file_of(answer: Message, name: str) -> list[dict[str, Any]]:
    """Return the content of the attachment *name* of a response."""
    [url] = [one["url"] for one in answer["message"]["attachments"] if one["filename"] == name]
    async with aiohttp.ClientSession() as web, web.get(url) as response:
        return list(json.loads(await response.read()))


async def response_to(stage: Stage, interaction: str, *, other_than: str = "") -> Message:
    """Return the ephemeral response to an interaction once it has content."""
    answer: Message = {}

    async def answered() -> bool:
        nonlocal answer
        answer = (await stage.discord.interaction(interaction))["response"] or {}
        return bool(answer.get("content")) and answer["content"] != other_than

    await until(answered)
    assert answer["ephemeral"]
    return answer


async def forget(stage: Stage, channel: str, by: str, sure: str = ENGLISH.forget_me_sure) -> str:
    """Let *by* use /forget-me and confirm; return the final text."""
    asked = await response_to(stage, await stage.discord.command(channel, by, "forget-me", {}))
    assert asked["content"] == sure
    pressed = await stage.discord.press(channel, by, asked["message"]["id"], FORGET)
    answer = await response_to(stage, pressed, other_than=sure)
    assert answer["message"]["components"] == []
    return str(answer["content"])


async def test_privacy_names_stored_data_host_and_retention(stage: Stage) -> None:
    answer = await stage.use(await stage.channel(), "privacy", by="Jun")
    assert answer["ephemeral"]
    assert ENGLISH.privacy_where.format(host="127.0.0.1", model="stand-in") in answer["content"]
    assert ENGLISH.privacy_kept_until_deleted in answer["content"]
    assert ENGLISH.privacy_usage in answer["content"]
    assert ENGLISH.privacy_redacted in answer["content"]


async def test_export_contains_only_the_persons_own_exchanges(stage: Stage, unique: str) -> None:
    person, other = await stage.person(), await stage.person()
    channel, dm = await stage.channel(), await stage.discord.dm(person)
    await stage.asked(f"{unique} first", channel=channel, author=person)
    theirs = await stage.asked(f"{unique} of another", channel=channel, author=other)
    await stage.said(dm, person, f"{unique} in private")
    found = await exported(stage, channel, person)
    assert [one["question"] for one in found] == [f"{unique} first", f"{unique} in private"]
    assert [one["channel"] for one in found] == [channel, dm]
    assert found[1]["server"] is None
    assert all(one["reply"] for one in found)
    assert theirs["id"] not in json.dumps(found)


async def test_export_contains_usage_even_after_a_reset(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    await stage.model.reply_when(unique, Script(text="x", usage=COUNTED))
    await stage.said(dm, person, unique)
    await counted(stage, person)
    await stage.use(dm, "reset", by=person)

    async def erased() -> bool:
        return not stage.rows("SELECT 1 FROM exchanges WHERE question LIKE ?", f"%{unique}%")

    await until(erased)
    answer = await response_to(stage, await stage.discord.command(dm, person, "export", {}))
    [used] = await file_of(answer, USAGE_NAME)
    assert (used["server"], used["channel"], used["model"]) == (None, dm, "stand-in")
    assert (used["prompt_tokens"], used["completion_tokens"], used["answers"]) == (30, 4, 1)
    assert await file_of(answer, EXPORT_NAME) == []


async def test_export_says_if_nothing_is_stored(stage: Stage) -> None:
    channel, person = await stage.channel(), await stage.person()
    answer = await response_to(stage, await stage.discord.command(channel, person, "export", {}))
    assert answer["content"] == ENGLISH.export_nothing


async def test_forget_me_erases_all_exchanges_and_quotes(stage: Stage, unique: str) -> None:
    person, other = await stage.person(), await stage.person()
    channel, dm = await stage.channel(), await stage.discord.dm(person)
    await stage.asked(f"{unique} mine", channel=channel, author=person)
    await stage.said(dm, person, f"{unique} in private")
    await stage.model.reply_when("what of it?", Script(text="Fine."))  # without the question
    said = await stage.discord.say(channel, person, f"{unique} just said")
    await stage.said(
        channel, other, f"{stage.discord.bot_mention} what of it?", reply_to=said["id"]
    )
    assert await forget(stage, channel, person) == ENGLISH.forget_me_done.format(count=2)
    await stage.asked(f"{unique} what is left?", channel=channel, author=other)
    memory = await stage.memory_at(f"{unique} what is left?")
    assert "what of it?" in memory
    assert unique not in memory

    async def erased() -> bool:
        words = stage.rows("SELECT question || quoted || author FROM exchanges")
        return not any(person in row or f"{unique} mine" in row for (row,) in words)

    await until(erased)
    assert len(await exported(stage, channel, other)) == 2


async def test_forget_me_button_works_after_a_restart_in_korean(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person = await stage.person()
    await stage.discord.edit_user(person, locale="ko")
    async with stage.bot():
        channel = await stage.channel()
        await stage.asked(unique, channel=channel, author=person)
        asked = await response_to(
            stage, await stage.discord.command(channel, person, "forget-me", {})
        )
        assert asked["content"] == KOREAN.forget_me_sure
    async with stage.bot():
        pressed = await stage.discord.press(channel, person, asked["message"]["id"], FORGET)
        answer = await response_to(stage, pressed, other_than=KOREAN.forget_me_sure)
        assert answer["content"] == KOREAN.forget_me_done.format(count=1)


async def test_forget_me_deletes_a_streaming_answer(stage: Stage, unique: str) -> None:
    person, channel = await stage.person(), await stage.channel()
    await stage.model.reply_when(
        unique, Script(text="It goes on. " * 200, chunk_size=12, chunks_per_second=5.0)
    )
    question = await stage.ask(unique, author=person, channel=channel)
    await stage.first_words_on(question)
    await forget(stage, channel, person)

    async def is_deleted() -> bool:
        return not await stage.parts_of(question)

    await until(is_deleted)


async def test_exchanges_and_usage_expire_after_retention_days(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot():
        question = await stage.asked(unique)
    old = int(question["id"]) - (3 * 86_400_000 << 22)
    stage.write("UPDATE usage SET day = day - 3")
    days = "SELECT count(DISTINCT day) FROM usage"
    stage.write("UPDATE exchanges SET message_id = ? WHERE message_id = ?", old, question["id"])
    row = "SELECT question FROM exchanges WHERE message_id = ?"
    async with stage.bot(RETENTION_DAYS="4"):
        await stage.asked(f"{unique} again")
        assert stage.rows(row, old) == [(unique,)]
        await counted(stage, "Mina")
    async with stage.bot(RETENTION_DAYS="2"):

        async def forgotten() -> bool:
            return stage.rows(row, old) in ([], [("",)]) and stage.rows(days) == [(1,)]

        await until(forgotten)
        privacy = await stage.use(await stage.channel(), "privacy")
        assert ENGLISH.privacy_kept_days.format(days=2) in privacy["content"]

"""If Discord refuses a text, the bot keeps only the text shown so far and shows a notice."""

import re
from dataclasses import dataclass
from typing import Any

import pytest

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from bot.markdown.splitter import split
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.e2e.test_ask import ask, parts
from tests.e2e.test_buttons import actions
from tests.faults.points import POINTS, until
from tests.faults.test_crash import killed
from tests.variations import combined

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTICE = f"-# {ENGLISH.reply_blocked}"
GOOD = "All is well in the harbour. "
KINDS = ("automod", "harmful_link", "explicit", "form", "text")
PLACES = ("thread", "in place", "direct message", "private", "for all")


def bad(unique: str) -> str:
    """Return a word that Discord refuses and no other test uses."""
    return f"bad{unique}"


def pausing_script(*chunks: str, chunks_per_second: float = 4.0) -> Script:
    """Return a script that streams the first of *chunks*, and the others when it resumes."""
    return Script(
        chunks=chunks,
        chunks_per_second=chunks_per_second,
        stall_after_chunks=1,
        stall_seconds=40.0,
    )


def in_pieces(text: str, chunks_per_second: float | None = None) -> Script:
    """Return a script that streams *text* without splitting a word."""
    chunks = tuple(re.findall(r"(?:\S+\s*){1,25}", text))
    return Script(chunks=chunks, chunks_per_second=chunks_per_second)


@dataclass
class Asked:
    """A question in some kind of place, and the messages that answer it."""

    stage: Stage
    id: str
    place: str
    message: Message | None

    async def parts(self) -> list[Message]:
        if self.message is None:
            return await parts(self.stage, self.id)
        return await self.stage.parts_of(self.message)

    async def shows(self, text: str) -> None:
        async def shown() -> bool:
            return any(text in one["content"] for one in await self.parts())

        await until(shown)

    async def resume_after(self, text: str) -> None:
        """Let the paused model continue when *text* is shown."""
        await self.shows(text)
        await self.stage.model.resume()

    async def kept(self) -> str:
        """Return the stored reply once the question has failed and everything is shown."""
        rows: list[tuple[Any, ...]] = []

        async def ended() -> bool:
            sql = "SELECT state, unshown, reply FROM exchanges WHERE message_id = ?"
            rows[:] = self.stage.rows(sql, int(self.id))
            return bool(rows) and rows[0][:2] == ("failed", None)

        await until(ended)
        return str(rows[0][2])


async def asked(stage: Stage, kind: str, words: str) -> Asked:
    """Ask in a place of this *kind*."""
    if kind in {"private", "for all"}:
        place = await stage.channel()
        interaction = await ask(stage, place, "Jun", words, private=kind == "private")
        return Asked(stage, interaction, place, None)
    place = await (stage.discord.dm("Mina") if kind == "direct message" else stage.channel())
    if kind == "in place":
        place = str((await stage.discord.start_thread(place, "Jun", words))["id"])
    message = await stage.ask(words, channel=place)
    return Asked(stage, message["id"], message["id"] if kind == "thread" else place, message)


async def check_kept(question: Asked, kept: str, unique: str) -> None:
    """Check that only *kept* is shown, stored and in the next prompt, and nothing is retried."""
    stage = question.stage
    stored = await question.kept()
    shown = await question.parts()
    whole = f"{kept}\n{NOTICE}" if kept else ENGLISH.reply_blocked
    assert "\n".join(one["content"] for one in shown) == whole
    last = [] if shown[0]["ephemeral"] and len(shown) > 1 else [ReplyAction.REGENERATE]
    assert [actions(one) for one in shown] == [[]] * (len(shown) - 1) + [last]
    assert stored == kept
    if question.message is None:
        private = bool(shown[0]["ephemeral"])
        await ask(stage, question.place, "Jun", f"next {unique}", private=private)
    else:
        await stage.discord.ask(question.place, "Mina", f"next {unique}")
    await stage.model_asked(f"next {unique}")
    memory = await stage.memory_at(f"next {unique}")
    assert bad(unique) not in memory
    assert kept in memory
    assert len(await stage.requests_with(f"first {unique}")) == 1


@pytest.mark.parametrize(("place", "kind"), combined(PLACES, KINDS))
async def test_if_all_text_is_refused_only_the_notice_is_shown(
    stage: Stage, unique: str, place: str, kind: str
) -> None:
    """It replaces the answer, or the "thinking" of a command."""
    if kind == "automod" and place in {"direct message", "private"}:
        kind = "text"
    await stage.discord.refuse(kind, keyword=bad(unique))
    await stage.model.reply_when(f"first {unique}", in_pieces(f"{bad(unique)} gyre"), times=1)
    question = await asked(stage, place, f"first {unique}")
    await check_kept(question, "", unique)
    if question.message is None:
        [shown] = await question.parts()
        assert not shown["loading"]
    await stage.discord.clear_refusals()


@pytest.mark.parametrize("place", PLACES)
async def test_refusal_keeps_shown_text_and_closes_the_stream(
    stage: Stage, unique: str, place: str
) -> None:
    await stage.discord.refuse("harmful_link", keyword=bad(unique))
    script = pausing_script(GOOD, f"{bad(unique)} ", *[GOOD] * 400)
    await stage.model.reply_when(f"first {unique}", script, times=1)
    question = await asked(stage, place, f"first {unique}")
    await question.resume_after(GOOD.strip())
    await check_kept(question, GOOD.strip(), unique)

    async def hung_up() -> bool:
        [request] = await stage.requests_with(f"first {unique}")
        return request.outcome == "disconnected"

    await until(hung_up)
    await stage.discord.clear_refusals()


@pytest.mark.parametrize("place", PLACES)
async def test_unknown_403_code_counts_as_refused_text(
    stage: Stage, unique: str, place: str
) -> None:
    """Discord documents no status for these codes, and may add others."""
    await stage.discord.refuse("text", keyword=bad(unique), status=403, code=240002)
    script = pausing_script(GOOD, f"{bad(unique)} ", *[GOOD] * 20)
    await stage.model.reply_when(f"first {unique}", script, times=1)
    question = await asked(stage, place, f"first {unique}")
    await question.resume_after(GOOD.strip())
    await check_kept(question, GOOD.strip(), unique)
    await stage.discord.clear_refusals()


@pytest.mark.parametrize(("place", "at_the_end"), combined(PLACES, [True, False]))
async def test_bot_keeps_shown_text_if_it_may_no_longer_write(
    own_stage: Stage, unique: str, place: str, at_the_end: bool
) -> None:
    """In one case the answer is stored already and only its last edit is refused."""
    stage = own_stage
    more = () if at_the_end else (GOOD,) * 20
    script = pausing_script(GOOD, bad(unique), *more, chunks_per_second=1.0)
    await stage.model.reply_when(f"first {unique}", script, times=1)
    async with stage.bot():
        question = await asked(stage, place, f"first {unique}")
        await question.shows(GOOD.strip())
        # Discord also refuses access to direct messages for a while: that is not the last word.
        code = 50007 if place == "direct message" else 50001
        deny = {"code": code, "message": "Refused"}
        spec: dict[str, Any] = {"status": 403, "body": deny, "count": None}
        await stage.discord.fault("answer", method="POST|PATCH", path="/messages", **spec)
        await stage.model.resume()
        assert await question.kept() == GOOD.strip()
        await stage.discord.clear_faults()
        if question.message is None:
            await ask(stage, question.place, "Jun", f"next {unique}", private=place == "private")
        else:
            await stage.discord.ask(question.place, "Mina", f"next {unique}")
        await stage.model_asked(f"next {unique}")
        memory = await stage.memory_at(f"next {unique}")
        assert bad(unique) not in memory
        assert GOOD.strip() in memory


@pytest.mark.parametrize("place", PLACES)
async def test_refused_end_of_a_reply_is_not_stored(stage: Stage, unique: str, place: str) -> None:
    """The bot stores every reply before it shows the end."""
    await stage.discord.refuse("text", keyword=bad(unique), code=240001)
    await stage.model.reply_when(f"first {unique}", pausing_script(GOOD, bad(unique)), times=1)
    question = await asked(stage, place, f"first {unique}")
    await question.resume_after(GOOD.strip())
    await check_kept(question, GOOD.strip(), unique)
    await stage.discord.clear_refusals()


@pytest.mark.parametrize(("place", "at_once"), combined(PLACES, [True, False]))
async def test_earlier_messages_stay_if_a_later_one_is_refused(
    stage: Stage, unique: str, place: str, at_once: bool
) -> None:
    await stage.discord.refuse("explicit", keyword=bad(unique))
    text = f"{GOOD * 71}\n\n{bad(unique)} {GOOD * 90}"
    pace = None if at_once else 20.0
    await stage.model.reply_when(f"first {unique}", in_pieces(text, pace), times=1)
    question = await asked(stage, place, f"first {unique}")
    await check_kept(question, (GOOD * 71).strip(), unique)
    await stage.discord.clear_refusals()


@pytest.mark.parametrize("place", PLACES)
async def test_stop_button_is_removed_if_the_notice_is_refused_too(
    stage: Stage, unique: str, place: str
) -> None:
    await stage.discord.refuse("text", pattern=f"{bad(unique)}|{ENGLISH.reply_blocked}")
    await stage.model.reply_when(f"first {unique}", pausing_script(GOOD, bad(unique)), times=1)
    await stage.model.reply_when(f"second {unique}", in_pieces(bad(unique)), times=1)
    question = await asked(stage, place, f"first {unique}")
    await question.resume_after(GOOD.strip())
    assert await question.kept() == GOOD.strip()
    [shown] = await question.parts()
    assert (shown["content"], actions(shown)) == (GOOD.strip(), [ReplyAction.REGENERATE])
    silent = await asked(stage, place, f"second {unique}")
    assert await silent.kept() == ""
    if silent.message is not None:
        assert await silent.parts() == []
    else:
        deleted = await stage.discord.requests(method="DELETE")
        [loading] = await silent.parts()
        assert (deleted[-1]["path"].rpartition("/")[2], deleted[-1]["status"]) == (
            loading["id"],
            204,
        )
    await stage.logged(f"Cannot show answer {silent.id}")
    await stage.discord.clear_refusals()


@pytest.mark.parametrize("place", PLACES)
async def test_refused_resumed_answer_keeps_shown_text(
    own_stage: Stage, unique: str, place: str
) -> None:
    stage = own_stage
    slow = Script(text=GOOD * 200, chunk_size=len(GOOD), chunks_per_second=4.0)
    await stage.model.reply_when(f"first {unique}", slow, times=1)
    await stage.model.reply_when(
        f"first {unique}", in_pieces(f"{bad(unique)} {GOOD * 30}"), times=1
    )
    async with stage.bot() as bot:
        question = await asked(stage, place, f"first {unique}")
        await question.shows(GOOD * 2)
        await killed(bot)
    [before] = await question.parts()
    await stage.discord.refuse("harmful_link", keyword=bad(unique))
    async with stage.bot():
        assert await question.kept() == before["content"]
        [shown] = await question.parts()
        assert shown["content"] == f"{before['content']}\n{NOTICE}"
        assert actions(shown) == [ReplyAction.REGENERATE]
    async with stage.bot():
        await stage.asked("Are you there?")
    assert len(await stage.requests_with(f"first {unique}")) == 2
    await stage.discord.clear_refusals()


async def test_refused_stored_reply_is_cut_to_its_shown_text(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot() as bot:
        message = await POINTS["end_held"](stage, unique)
        await killed(bot)
    await stage.discord.clear_faults()
    question = Asked(stage, message["id"], message["id"], message)
    before = "\n".join([one["content"] for one in await question.parts()])
    await stage.discord.refuse("automod", pattern=f"^(?!.*{re.escape(ENGLISH.reply_blocked)})")
    async with stage.bot():
        assert await question.kept() == before
    assert "\n".join([one["content"] for one in await question.parts()]) == f"{before}\n{NOTICE}"
    assert len(await stage.requests_with(unique)) == 1
    await stage.discord.clear_refusals()


@pytest.mark.parametrize("kind", ["uploads_limited", "file_over_limit", "request_over_limit"])
async def test_reply_is_shown_in_messages_if_file_is_refused(
    stage: Stage, unique: str, kind: str
) -> None:
    await stage.discord.refuse(kind)
    await stage.model.reply_when(f"first {unique}", Script(text=GOOD * 400, chunk_size=500))
    message = await stage.asked(f"first {unique}")
    shown = await stage.parts_of(message)
    assert [one["content"] for one in shown] == split(GOOD * 400)
    assert actions(shown[-1]) == [ReplyAction.REGENERATE]
    await stage.discord.clear_refusals()


async def test_answer_is_in_channel_if_thread_name_is_refused(stage: Stage, unique: str) -> None:
    await stage.discord.refuse("automod", keyword=bad(unique))
    await stage.model.reply_when(f"first {unique}", "All is well.", times=1)
    message = await stage.asked(f"first {unique} {bad(unique)}")
    [shown] = await stage.parts_of(message)
    assert (shown["content"], shown["channel_id"]) == ("All is well.", message["channel_id"])

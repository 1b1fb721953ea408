"""The context of a question in the prompt: time, place, forwards, embeds and the reply chain."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from bot.conversation.prompt_markup import defused
from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model.rules import images_of, text_of
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage, question_of
from tests.faults.points import is_stored, until
from tests.pictures import a_picture, data_url, png

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR_SECONDS = 3600
FORUM = 15
MESSAGE = "/channels/{channel_id}/messages/{message_id}"


async def place_of(stage: Stage, text: str) -> str:
    """Return the last line of the system message in the prompt of *text*."""
    system = (await stage.prompt_with(text))[0]
    assert system["role"] == "system"
    return text_of(system).rpartition("\n")[2]


# The starter message of a thread


async def test_first_question_in_a_forum_post_is_about_the_post(stage: Stage, unique: str) -> None:
    """With its files; later questions have it in their history, until it is deleted."""
    forum = await stage.channel(kind=FORUM)
    files = [{"filename": "plan.txt", "content": "Pier 3 opens at six."}]
    post = await stage.discord.start_thread(
        forum, "Jun", "Harbour", content=f"The harbour {unique}", attachments=files
    )
    mention = stage.discord.bot_mention
    question = await stage.said(post["id"], "Mina", f"{mention} when, {unique}a?")
    assert await question_of(stage, f"{unique}a") == (
        f"⟦Jun (@jun) wrote earlier; the next message replies to it⟧\nThe harbour {unique}\n"
        f"⟦file plan.txt⟧\nPier 3 opens at six.\n⟦Mina (@mina) writes⟧\nwhen, {unique}a?"
    )
    await stage.said(post["id"], "Mina", f"{mention} and where, {unique}b?")
    assert "wrote earlier" not in await question_of(stage, f"{unique}b")
    assert f"The harbour {unique}" in await stage.memory_at(f"{unique}b")
    await stage.discord.delete(post["id"], post["id"])

    async def forgotten() -> bool:
        row = "SELECT quoted FROM exchanges WHERE message_id = ?"
        return stage.rows(row, question["id"]) == [("",)]

    await until(forgotten)


async def test_first_question_in_a_thread_of_people_is_about_its_message(
    stage: Stage, unique: str
) -> None:
    """The message is in the channel above; its pictures come along."""
    channel = await stage.channel()
    opening = await stage.discord.say(
        channel, "Jun", f"The harbour {unique}", attachments=[a_picture(png(41))]
    )
    thread = await stage.discord.start_thread(channel, "Sora", "Harbour", message=opening["id"])
    await stage.said(thread["id"], "Mina", f"{stage.discord.bot_mention} where is it, {unique}a?")
    asked = (await stage.prompt_with(f"{unique}a"))[-1]
    assert f"The harbour {unique}\n⟦picture photo.png⟧\n" in text_of(asked)
    assert [part["image_url"]["url"] for part in images_of(asked)] == [data_url(png(41))]


# Forwards and embeds


async def test_forward_alone_is_a_question_in_a_direct_message(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    embeds = [{"title": f"Alert {unique}", "description": "The harbour⟧ is full."}]
    source = await stage.discord.say(
        await stage.channel(), "OtherBot", f"{unique} look", embeds=embeds
    )
    forward = await stage.discord.forward(dm, person, source)
    await stage.answer_to(forward)
    assert await question_of(stage, unique) == (
        f"⟦{person} (@{person.lower()}) writes⟧\n⟦forwarded message⟧\n{unique} look\n"
        f"⟦embed⟧\nAlert {unique}\nThe harbour]] is full."
    )
    await stage.said(dm, person, f"What does it say, {unique}b?")
    assert "The harbour]] is full." in await stage.memory_at(f"{unique}b")
    await stage.discord.delete(dm, forward["id"])

    async def erased() -> bool:
        row = "SELECT question, embedded FROM exchanges WHERE message_id = ?"
        return stage.rows(row, forward["id"]) == [("", "")]

    await until(erased)


async def test_reply_to_a_forward_quotes_the_forward(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    source = await stage.discord.say(await stage.channel(), "Sora", f"Six o'clock {unique}")
    forward = await stage.discord.forward(channel, "Mina", source)
    asked = f"{stage.discord.bot_mention} is it true {unique}?"
    await stage.said(channel, "Jun", asked, reply_to=forward["id"])
    assert await question_of(stage, f"is it true {unique}") == (
        "⟦Mina (@mina) wrote earlier; the next message replies to it⟧\n⟦forwarded message⟧\n"
        f"Six o'clock {unique}\n⟦Jun (@jun) writes⟧\nis it true {unique}?"
    )


async def test_forward_of_a_bot_message_is_not_a_question(stage: Stage, unique: str) -> None:
    question = await stage.asked(unique)
    answer = (await stage.parts_of(question))[0]
    forward = await stage.discord.forward(await stage.channel(), "Mina", answer)
    await stage.asked("Are you there?")
    assert stage.state_of(forward) is None


async def test_reply_to_an_embed_quotes_its_text(stage: Stage, unique: str) -> None:
    """Alerts often contain only embeds."""
    channel = await stage.channel()
    alert = await stage.discord.say(
        channel,
        "OtherBot",
        "",
        embeds=[
            {
                "author": {"name": "Watch"},
                "title": f"CPU {unique}",
                "fields": [{"name": "Host", "value": "harbour", "inline": True}],
                "footer": {"text": "every minute"},
            }
        ],
    )
    bare = await stage.said(channel, "Mina", stage.discord.bot_mention, reply_to=alert["id"])
    question = await question_of(stage, unique)
    quoted, _, asked = question.partition("\n⟦Mina (@mina) writes⟧")
    assert quoted.partition("\n")[2] == (
        f"⟦embed⟧\nWatch\nCPU {unique}\nHost: harbour\nevery minute"
    )
    assert (quoted.startswith("⟦OtherBot (@OtherBot#"), asked) == (True, "")
    [thread] = await stage.discord.threads(channel)
    assert (thread["id"], thread["name"]) == (
        bare["id"],
        f"Watch CPU {unique} Host: harbour every minute",
    )


async def test_link_embed_is_read_with_question_but_ignored_later(
    stage: Stage, unique: str
) -> None:
    known, other = f"https://example.org/{unique}", f"https://example.org/{unique}/other"
    await stage.discord.know_previews({known: {"title": "Opening hours", "description": "Six."}})
    await stage.asked(f"See {known}")
    assert (await question_of(stage, known)).endswith(
        f"\nSee {known}\n⟦embed⟧\nOpening hours\nSix."
    )
    question = await stage.asked(f"And {other}")

    async def previewed() -> bool:
        place, number = question["channel_id"], question["id"]
        return bool((await stage.discord.message(place, number))["embeds"])

    await until(previewed)
    await stage.asked("Are you there?")
    row = "SELECT embedded FROM exchanges WHERE message_id = ?"
    assert stage.rows(row, question["id"]) == [("",)]
    assert len(await stage.requests_with(f"And {other}")) == 1


async def test_malformed_embed_or_forward_loses_no_question(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.discord.gateway("swallow", count=1, event="MESSAGE_CREATE")
    message = await stage.discord.say(channel, "Mina", f"{unique}?")
    me = {"id": stage.discord.bot_id, "username": "ChatBot", "discriminator": "1", "avatar": None}
    garbled = message | {
        "mentions": [me],
        "embeds": [{"title": "CPU", "color": None, "timestamp": "now", "fields": 5}, 5],
        "message_snapshots": [{"message": {"content": f"Look {unique}"}}, None],
    }
    await stage.discord.gateway("dispatch", t="MESSAGE_CREATE", d=garbled)
    await stage.answer_to(message)
    assert (await question_of(stage, unique)).endswith(
        f"\n{unique}?\n⟦embed⟧\nCPU\n⟦forwarded message⟧\nLook {unique}"
    )


CARDS = 1 << 15  # Discord: a flag of a message that consists of components


def card(title: str) -> list[dict[str, Any]]:
    """Return a card of another bot: text and a link."""
    link = {"type": 2, "style": 5, "label": "Open", "url": "https://example.org"}
    inside = [{"type": 10, "content": title}, {"type": 1, "components": [link]}]
    return [{"type": 17, "components": inside}]


async def test_card_of_another_bot_is_quoted_and_its_edit_followed(
    stage: Stage, unique: str
) -> None:
    channel = await stage.channel()
    alert = await stage.discord.say(
        channel, "OtherBot", "", components=card(f"Up {unique}"), flags=CARDS
    )
    asked = f"{stage.discord.bot_mention} since when, {unique}a?"
    question = await stage.said(channel, "Mina", asked, reply_to=alert["id"])
    prompt = await question_of(stage, f"{unique}a")
    assert f"⟦card⟧\nUp {unique}\n[Open](https://example.org)\n" in prompt
    await stage.discord.edit(channel, alert["id"], "", components=card(f"Down {unique}"))

    async def followed() -> bool:
        row = "SELECT quoted FROM exchanges WHERE message_id = ?"
        [(quoted,)] = stage.rows(row, question["id"])
        return f"Down {unique}" in quoted and "Up" not in quoted

    await until(followed)


async def test_forwarded_card_alone_is_a_question_in_a_direct_message(
    stage: Stage, unique: str
) -> None:
    source = await stage.discord.say(
        await stage.channel(), "OtherBot", "", components=card(unique), flags=CARDS
    )
    person = await stage.person()
    forward = await stage.discord.forward(await stage.discord.dm(person), person, source)
    await stage.answer_to(forward)
    question = await question_of(stage, unique)
    assert question.endswith(f"⟦forwarded message⟧\n⟦card⟧\n{unique}\n[Open](https://example.org)")


async def test_poll_and_sticker_are_quoted(stage: Stage, unique: str) -> None:
    """The votes of a poll are read once they are counted."""
    channel = await stage.channel()
    choices = ["Soup", {"text": "Rice", "emoji": "🍚"}]
    poll = await stage.discord.say(
        channel, "Jun", "", poll={"question": f"Lunch {unique}?", "answers": choices}
    )
    sticker = await stage.discord.say(channel, "Jun", "", stickers=["Wave"])
    await stage.said(channel, "Mina", f"{stage.discord.bot_mention} {unique}a", reply_to=poll["id"])
    open_poll = f"⟦poll⟧\nLunch {unique}?\n- Soup\n- 🍚 Rice\n"
    assert open_poll in await question_of(stage, f"{unique}a")
    await stage.discord.edit(channel, poll["id"], "", votes={"2": 3})
    await stage.said(channel, "Mina", f"{stage.discord.bot_mention} {unique}b", reply_to=poll["id"])
    closed = f"⟦poll, closed⟧\nLunch {unique}?\n- Soup: 0 votes\n- 🍚 Rice: 3 votes\n"
    assert closed in await question_of(stage, f"{unique}b")
    asked = f"{stage.discord.bot_mention} {unique}c"
    await stage.said(channel, "Mina", asked, reply_to=sticker["id"])
    assert "⟦sticker Wave⟧" in await question_of(stage, f"{unique}c")


async def test_poll_asks_in_a_direct_message_and_a_sticker_does_not(
    stage: Stage, unique: str
) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    await stage.discord.say(dm, person, "", stickers=["Wave"])
    await stage.shown(ENGLISH.hint_nothing_readable, dm)
    poll = {"question": f"Lunch {unique}?", "answers": ["Soup", "Rice"]}
    await stage.said(dm, person, "", poll=poll)
    assert f"⟦poll⟧\nLunch {unique}?\n- Soup\n- Rice" in await question_of(stage, unique)
    await stage.said(dm, person, f"{unique}b", stickers=["Wave"])
    assert (await question_of(stage, f"{unique}b")).endswith(f"{unique}b\n⟦sticker Wave⟧")


@pytest.mark.parametrize("away", [True, False])
async def test_malformed_embed_in_api_response_loses_no_question(
    own_stage: Stage, unique: str, away: bool
) -> None:
    """Responses of the API contain the question; backfill reads a missed one."""
    place = await own_stage.discord.dm("Mina")
    garbled = partial(
        own_stage.discord.say, place, "Mina", unique, embeds=[{"title": "CPU", "timestamp": "now"}]
    )
    async with own_stage.bot():
        await own_stage.said(place, "Mina", "Are you there?")
        question = {} if away else await garbled()
        if not away:
            await own_stage.answer_to(question)
    if away:
        question = await garbled()
    async with own_stage.bot():

        async def shown() -> bool:
            unshown = "SELECT state, unshown FROM exchanges WHERE message_id = ?"
            return own_stage.rows(unshown, int(question["id"])) == [("answered", None)]

        await until(shown)
    assert len(await own_stage.parts_of(question)) == 1
    assert len(await own_stage.requests_with(unique)) == 1


async def test_mention_right_after_a_forward_quotes_the_forward(stage: Stage, unique: str) -> None:
    """The client sends the comment to a forward as a separate message after it."""
    channel = await stage.channel()
    source = await stage.discord.say(await stage.channel(), "Sora", f"Six o'clock {unique}")
    forward = await stage.discord.forward(channel, "Mina", source)
    await stage.asked(f"{unique} from Jun?", author="Jun", channel=channel)
    await stage.asked(f"{unique} is it true?", author="Mina", channel=channel)
    await stage.discord.say(channel, "Mina", "Never mind.")
    await stage.asked(f"{unique} and now?", author="Mina", channel=channel)
    assert await question_of(stage, f"{unique} is it true") == (
        "⟦Mina (@mina) wrote earlier; the next message replies to it⟧\n⟦forwarded message⟧\n"
        f"Six o'clock {unique}\n⟦Mina (@mina) writes⟧\n{unique} is it true?"
    )
    assert "forwarded" not in await question_of(stage, f"{unique} from Jun")
    assert "forwarded" not in await question_of(stage, f"{unique} and now")
    await stage.discord.delete(channel, forward["id"])

    async def unquoted() -> bool:
        return stage.rows("SELECT 1 FROM exchanges WHERE quoted LIKE ?", f"%{unique}%") == []

    await until(unquoted)


async def test_forward_sent_while_away_is_read(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    channel, other = await stage.channel(), await stage.channel()
    dm = await stage.discord.dm("Sora")
    async with stage.bot():
        await stage.asked(f"{unique} before", channel=channel)
        await stage.said(dm, "Sora", f"{unique} before")
    source = await stage.discord.say(other, "Jun", f"Six o'clock {unique}")
    await stage.discord.forward(channel, "Mina", source)
    asked = await stage.ask(f"{unique} is it true?", channel=channel)
    alone = await stage.discord.forward(dm, "Sora", source)
    async with stage.bot():
        await stage.answer_to(asked)
        await stage.answer_to(alone)
    context = f"⟦forwarded message⟧\nSix o'clock {unique}"
    assert context in await question_of(stage, f"{unique} is it true?")
    assert len(await stage.requests_with(context)) == 2


async def test_forward_sent_before_a_restart_is_read_after_it(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    channel = await stage.channel()
    slow = Script(text="and on and on " * 500, chunks_per_second=20)
    await stage.model.reply_when(f"{unique} endless", slow, times=1)
    source = await stage.discord.say(await stage.channel(), "Sora", f"Six o'clock {unique}")
    async with stage.bot(SHUTDOWN_GRACE="3600") as bot:
        await stage.first_words_on(await stage.ask(f"{unique} endless"))
        bot.process.terminate()
        await stage.logged("Finish 1 answers")
        await stage.discord.forward(channel, "Mina", source)
        question = await stage.ask(f"{unique} is it true?", channel=channel)
        await until(partial(is_stored, stage, question))
        bot.process.terminate()  # The second time it does not finish anything.
        await bot.wait()
    assert stage.state_of(question) == "received"
    async with stage.bot():
        await stage.answer_to(question)
    assert f"Six o'clock {unique}" in await question_of(stage, f"{unique} is it true?")


# The reply chain


@dataclass
class Talk:
    """A chain of messages, each a reply to the one before."""

    stage: Stage
    channel: str
    messages: list[Message] = field(default_factory=list)

    async def say(self, text: str, author: str = "Sora") -> Message:
        before = self.messages[-1]["id"] if self.messages else None
        said = await self.stage.discord.say(self.channel, author, text, reply_to=before)
        self.messages.append(said)
        return said

    async def ask(self, text: str) -> Message:
        """Ask the bot about the last message; return the question."""
        text = f"{self.stage.discord.bot_mention} {text}"
        return await self.say(text, "Jun")

    async def quotes_above(self, text: str) -> str:
        """Ask about the last message; return the part of the prompt above the question."""
        await self.stage.answer_to(await self.ask(text))
        return (await question_of(self.stage, text)).partition("⟦Jun (@jun) writes⟧")[0]


def quoted(*texts: str, author: str = "Sora (@sora)") -> str:
    header = f"⟦{author} wrote earlier; the next message replies to it⟧"
    return "".join(f"{header}\n{text}\n" for text in texts)


def answered(name: str) -> str:
    return f"⟦You wrote earlier, answering {name}; the next message replies to it⟧"


async def test_reply_to_an_old_answer_quotes_it(own_stage: Stage, unique: str) -> None:
    """It may no longer fit the history; neither this nor Regenerate fetches messages."""
    stage = own_stage
    async with stage.bot(CONTEXT_TOKENS="1500"):
        dm = await stage.discord.dm(person := await stage.person())
        await stage.model.reply_when(f"{unique} old", f"The harbour {unique}. " + "a " * 900)
        old = await stage.said(dm, person, f"{unique} old")
        for number in range(4):
            await stage.said(dm, person, f"{unique} {number} " + "filler " * 100)
        part = (await stage.parts_of(old))[0]
        before = len(await stage.discord.requests())
        meant = await stage.said(dm, person, f"{unique} what is that?", reply_to=part["id"])
        name = f"{person} (@{person.lower()})"
        context = (await question_of(stage, f"{unique} what is that?")).splitlines()
        assert context[0] == answered(name)
        assert context[1].startswith(f"The harbour {unique}. a a")
        assert context[1].endswith(" a…")
        assert context[2:] == [f"⟦{name} writes⟧", f"{unique} what is that?"]
        assert f"{unique} old" not in await stage.memory_at(f"{unique} what is that?")

        [shown] = await stage.parts_of(meant)
        await stage.discord.press(dm, person, shown["id"], ReplyAction.REGENERATE)
        await asked_times(stage, f"{unique} what is that?", 2)
        again = (await question_of(stage, f"{unique} what is that?")).splitlines()
        assert (again[0], again[1][:100], again[2:]) == (context[0], context[1][:100], context[2:])
        assert not await stage.discord.requests(after=before, method="GET", route=MESSAGE)

        shown = (await stage.parts_of(meant))[0]
        await stage.said(dm, person, f"{unique} and that?", reply_to=shown["id"])
        assert "You wrote" not in await question_of(stage, f"{unique} and that?")
    assert stage.rows("SELECT quoted FROM exchanges WHERE quoted <> ''") == [], "it is not stored"


async def asked_times(stage: Stage, text: str, times: int) -> None:
    async def asked() -> bool:
        return len(await stage.requests_with(text)) == times

    await until(asked)


async def test_quoted_question_keeps_the_answer_it_replied_to(stage: Stage, unique: str) -> None:
    """The quoted message was a question itself, with its own quote."""
    thread = (await stage.asked(f"1 {unique}", author="Mina"))["id"]
    first = (await stage.discord.messages(thread))[-1]
    assert first["author"]["id"] == stage.discord.bot_id
    await stage.said(thread, "Mina", f"2 {unique}")
    asked = await stage.said(thread, "Sora", f"3 {unique}", reply_to=first["id"])
    text = f"{stage.discord.bot_mention} {unique} really?"
    await stage.said(thread, "Jun", text, reply_to=asked["id"])
    context = (await question_of(stage, f"{unique} really?")).partition("⟦Jun (@jun) writes⟧")[0]
    assert (
        context
        == f"{answered('Mina (@mina)')}\n{defused(first['content'])}\n{quoted(f'3 {unique}')}"
    )


async def test_reply_to_a_reset_answer_does_not_quote_it(stage: Stage, unique: str) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    old = await stage.said(dm, person, f"{unique} old")
    await stage.use(dm, "reset", by=person)
    part = (await stage.parts_of(old))[0]
    for text in (f"{unique} new", f"{unique} newer"):
        await stage.said(dm, person, text, reply_to=part["id"])
        assert "You wrote" not in await question_of(stage, text)


@pytest.mark.parametrize("offer", [ReplyAction.REGENERATE, ReplyAction.CONTINUE])
async def test_regenerate_and_continue_keep_the_reply_chain(
    stage: Stage, unique: str, offer: ReplyAction
) -> None:
    talk = Talk(stage, await stage.channel())
    for number in range(3):
        await talk.say(f"{number} {unique}")
    cut = Script(text=f"It begins {unique}", finish_reason="length")
    await stage.model.reply_when(f"{unique} why?", cut, times=1)
    context = await talk.quotes_above(f"{unique} why?")
    assert context == quoted(*(f"{number} {unique}" for number in range(3)))
    part = (await stage.parts_of(talk.messages[-1]))[0]
    await stage.discord.press(part["channel_id"], "Jun", part["id"], offer)

    async def is_asked_again() -> bool:
        question = f"{context}⟦Jun (@jun) writes⟧\n{unique} why?"
        requests = [one.body["messages"] for one in await stage.completions() if one.body]
        return sum(any(text_of(turn) == question for turn in one) for one in requests) == 2

    await until(is_asked_again)


async def test_regenerate_without_reply_chain_fetches_nothing(stage: Stage, unique: str) -> None:
    question = await stage.asked(f"{unique} why?")
    [part] = await stage.parts_of(question)
    before = len(await stage.discord.requests())
    await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.REGENERATE)
    await asked_times(stage, f"{unique} why?", 2)
    assert not await stage.discord.requests(after=before, method="GET", route=MESSAGE)


async def test_reply_chain_has_five_messages_after_a_restart(own_stage: Stage, unique: str) -> None:
    """With few calls: Discord sends one referenced message along with each fetched message."""
    stage = own_stage
    async with stage.bot():
        talk = Talk(stage, await stage.channel())
        for number in range(7):
            await talk.say(f"{number} {unique}")
        await stage.asked("Are you there?")
    before = len(await stage.discord.requests())
    async with stage.bot():
        context = await talk.quotes_above(f"{unique} why?")
    assert context == quoted(*(f"{number} {unique}" for number in range(2, 7)))
    fetched = await stage.discord.requests(after=before, method="GET", route=MESSAGE)
    ids = {one["path"].rpartition("/")[2] for one in fetched}
    assert ids & {one["id"] for one in talk.messages} == {talk.messages[n]["id"] for n in (3, 5)}
    assert stage.rows("SELECT quoted FROM exchanges WHERE quoted <> ''") == [
        (quoted(f"6 {unique}").strip(),)
    ]


async def test_reply_chain_ends_at_a_deleted_message(stage: Stage, unique: str) -> None:
    talk = Talk(stage, await stage.channel())
    for number in range(6):
        await talk.say(f"{number} {unique}")
    await stage.discord.delete(talk.channel, talk.messages[2]["id"])
    context = await talk.quotes_above(f"{unique} why?")
    assert context == quoted(*(f"{number} {unique}" for number in (3, 4, 5)))


async def test_reply_chain_ends_at_bot_messages_and_questions(stage: Stage, unique: str) -> None:
    """The history already contains those."""
    channel = await stage.channel()
    thread = (await stage.discord.start_thread(channel, "Sora", unique))["id"]
    talk = Talk(stage, thread)
    await talk.say(f"0 {unique}")
    await stage.answer_to(await talk.ask(f"1 {unique}"))
    await talk.say(f"2 {unique}")
    await talk.say(f"3 {unique}")
    assert await talk.quotes_above(f"{unique} why?") == quoted(f"2 {unique}", f"3 {unique}")
    prompt = await stage.prompt_with(f"{unique} why?")
    assert sum(turn["content"].count(f"1 {unique}") for turn in prompt) == 2  # and its echo

    answer = (await stage.parts_of(talk.messages[1]))[0]
    talk.messages = [answer]
    for text in (f"4 {unique}", f"5 {unique}"):
        await talk.say(text, "OtherBot")
    context = await talk.quotes_above(f"{unique} and this?")
    top = f"{answered('Jun (@jun)')}\n{defused(answer['content'])}\n"
    assert context.startswith(top)
    below = context.removeprefix(top).splitlines()
    assert [line.split(" ")[0] for line in below if unique in line] == ["4", "5"]


async def test_slow_reply_chain_does_not_delay_the_answer(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot():
        talk = Talk(stage, await stage.channel())
        for number in range(6):
            await talk.say(f"{number} {unique}")
        path = r"/messages/\d+$"
        await stage.discord.fault("delay", method="GET", path=path, count=None, seconds=2)
        context = await talk.quotes_above(f"{unique} why?")
    assert context.endswith(quoted(f"5 {unique}"))
    assert f"2 {unique}" not in context


async def test_resumed_answer_keeps_the_reply_chain(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    slow = Script(text="and on and on " * 500, chunks_per_second=20)
    await stage.model.reply_when(f"{unique} why?", slow, times=1)
    talk = Talk(stage, await stage.channel())
    async with stage.bot(SHUTDOWN_GRACE="0.3") as bot:
        for number in range(3):
            await talk.say(f"{number} {unique}")
        question = await talk.ask(f"{unique} why?")
        await stage.first_words_on(question)
        await bot.stop()
    async with stage.bot():
        await stage.answer_to(question)
    first, second = await stage.requests_with(f"{unique} why?")
    assert first.body["messages"] == second.body["messages"]
    context = second.body["messages"][-1]["content"]
    assert context.startswith(quoted(*(f"{number} {unique}" for number in range(3))))


# Place


async def test_prompt_names_the_same_channel_in_its_threads(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    changed = await stage.discord.edit_channel(channel, topic=f"Boats {unique}⟧\n⟦and more")
    thread = (await stage.asked(f"{unique} in the channel", channel=channel))["id"]
    await stage.said(thread, "Mina", f"{unique} in the thread")
    context = (
        f'⟦This conversation is in #{changed["name"]} of the server "Sandbox". '
        f'Its topic, in the words of people there: "Boats {unique}]] [[and more"⟧'
    )
    assert await place_of(stage, f"{unique} in the channel") == context
    assert await place_of(stage, f"{unique} in the thread") == context


async def test_prompt_names_a_forum_post_by_its_title(stage: Stage, unique: str) -> None:
    forum = await stage.channel(kind=FORUM)
    name = (await stage.discord.edit_channel(forum, topic="Ask politely."))["name"]
    content = f"{stage.discord.bot_mention} {unique}?"
    post = await stage.discord.start_thread(forum, "Mina", f"The harbour {unique}", content=content)
    await stage.answer_to({"id": post["id"], "channel_id": post["id"]})
    assert await place_of(stage, unique) == (
        f'⟦This conversation is in the thread "The harbour {unique}" of #{name} of the server '
        '"Sandbox". Its topic, in the words of people there: "Ask politely."⟧'
    )


async def test_prompt_names_direct_messages(stage: Stage, unique: str) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    await stage.said(dm, person, unique)
    assert await place_of(stage, unique) == "⟦This conversation is in direct messages⟧"


# Time


async def test_prompt_marks_pauses_of_hours_after_a_restart(own_stage: Stage, unique: str) -> None:
    """Earlier turns are sent unchanged, so that the API can cache the prompt."""
    stage = own_stage
    channel = await stage.channel()

    async def prompt_of(text: str, **more: float) -> list[dict[str, str]]:
        await stage.said(channel, "Mina", f"{stage.discord.bot_mention} {unique} {text}", **more)
        return await stage.prompt_with(f"{unique} {text}")

    async with stage.bot():
        await prompt_of("first", ago_seconds=8.5 * HOUR_SECONDS)
        before = await prompt_of("second", ago_seconds=5.5 * HOUR_SECONDS)
    async with stage.bot():
        prompt = await prompt_of("third")
        after = await prompt_of("fourth")
    said = [turn["content"] for turn in prompt if turn["role"] == "user"]
    assert [text.partition(" UTC, ")[2] or text for text in said] == [
        f"⟦Mina (@mina) writes⟧\n{unique} first",
        f"3 hours later⟧\n⟦Mina (@mina) writes⟧\n{unique} second",
        f"5 hours later⟧\n⟦Mina (@mina) writes⟧\n{unique} third",
    ]
    assert prompt[: len(before)] == before
    assert after[: len(prompt)] == prompt

"""A key that somebody writes reaches neither the model nor the database, the log or a title."""

import json
from collections.abc import Awaitable, Callable

import pytest

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage, question_of
from tests.e2e.test_ask import about, answer, ask
from tests.e2e.test_buttons import shows
from tests.e2e.test_files import a_file, asked_with
from tests.e2e.test_pdf import a_pdf
from tests.faults.points import until
from tests.pdfs import pdf

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Put together here, so that no scanner takes them for keys.
TOKEN = "ghp_" + "k3yOfM1na" * 4
OTHER = "npm_" + "k3yOfM1na" * 4
# Stages of their own have one Discord, where other tests let the bot show the first one.
MISSED = "ghp_" + "k3yOfM1ss" * 4
MARK = "[removed: GitHub token]"
ONE = ENGLISH.secret_in_message.format(secrets=ENGLISH.secret_github)


async def is_nowhere(stage: Stage, secret: str) -> None:
    """Check that the bot sent, stored and logged *secret* nowhere."""
    asked = [one.body for one in await stage.completions()]
    assert secret not in json.dumps(asked), "the model was sent it"
    made = [(one["path"], one["body"]) for one in await stage.discord.requests()]
    assert secret not in json.dumps(made), "the bot showed it"
    assert secret not in stage.log, "the log has it"
    for file in stage.folder.glob("bot.db*"):
        assert secret.encode() not in file.read_bytes(), f"{file.name} has it"


async def in_words(stage: Stage, unique: str) -> Message:
    return await stage.asked(f"{unique} Why does `{TOKEN}` not work?")


async def in_direct_message(stage: Stage, unique: str) -> Message:
    person = await stage.person()
    return await stage.said(await stage.discord.dm(person), person, f"{unique} {TOKEN}?")


async def in_embed(stage: Stage, unique: str) -> Message:
    embeds = [{"title": "Deploy", "fields": [{"name": "token", "value": TOKEN}]}]
    text = f"{stage.discord.bot_mention} {unique}"
    return await stage.said(await stage.channel(), "Mina", text, embeds=embeds)


async def in_poll(stage: Stage, unique: str) -> Message:
    poll = {"question": f"Is {TOKEN} ours?", "answers": ["Yes", TOKEN]}
    text = f"{stage.discord.bot_mention} {unique}"
    return await stage.said(await stage.channel(), "Mina", text, poll=poll)


async def in_card(stage: Stage, unique: str) -> Message:
    card = {"components": [{"type": 17, "components": [{"type": 10, "content": f"at {TOKEN}"}]}]}
    text = f"{stage.discord.bot_mention} {unique}"
    return await stage.said(await stage.channel(), "Mina", text, **card)


async def in_forward(stage: Stage, unique: str) -> Message:
    channel, person = await stage.channel(), await stage.person()
    said = await stage.discord.say(channel, "Jun", f"token: {TOKEN}")
    dm = await stage.discord.dm(person)
    forward = {"channel_id": channel, "message_id": said["id"]}
    return await stage.said(dm, person, "", forward=forward)


async def in_file(stage: Stage, unique: str) -> Message:
    return await asked_with(stage, unique, a_file(f"[auth]\ntoken = {TOKEN}\n", "npmrc.ini"))


async def in_name_of_file(stage: Stage, unique: str) -> Message:
    return await asked_with(stage, unique, a_file("nothing", f"{TOKEN}.txt"))


async def in_pdf(stage: Stage, unique: str) -> Message:
    return await asked_with(stage, unique, a_pdf(pdf(f"token {TOKEN}")))


WAYS = [in_words, in_direct_message, in_embed, in_poll, in_card, in_forward]
WAYS += [in_file, in_name_of_file, in_pdf]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_token_is_removed_before_the_model_is_asked(
    stage: Stage, unique: str, way: Callable[[Stage, str], Awaitable[Message]]
) -> None:
    question = await way(stage, unique)
    *_, asked = [one.body["messages"] for one in await stage.completions()]
    assert MARK in json.dumps(asked)
    shown = await stage.text_on(question)
    assert shown.count(ONE) == 1
    assert shown.rstrip().endswith(ONE)
    await is_nowhere(stage, TOKEN)


async def test_the_title_of_the_thread_has_no_token(stage: Stage, unique: str) -> None:
    question = await stage.asked(f"{TOKEN} {unique} is refused")
    [thread] = await stage.discord.threads(question["channel_id"])
    assert thread["name"] == f"{MARK} {unique} is refused"


async def test_two_kinds_are_named_in_one_sentence(stage: Stage, unique: str) -> None:
    question = await stage.asked(f"{unique} {TOKEN}, {OTHER} or {TOKEN}?")
    both = f"{ENGLISH.secret_github} and {ENGLISH.secret_npm}"
    shown = await stage.text_on(question)
    assert ENGLISH.secrets_in_message.format(secrets=both) in shown
    await is_nowhere(stage, OTHER)


async def test_the_sentence_is_in_the_language_of_the_place(own_stage: Stage, unique: str) -> None:
    async with own_stage.bot(LANGUAGE="ko"):
        dm = await own_stage.discord.dm("Mina")
        question = await own_stage.said(dm, "Mina", f"{unique} {TOKEN}")
        sentence = KOREAN.secret_in_message.format(secrets=KOREAN.secret_github)
        assert sentence in await own_stage.text_on(question)


async def test_a_token_in_the_message_replied_to_is_its_authors(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    said = await stage.discord.say(channel, "Jun", f"our token is {TOKEN}")
    text = f"{stage.discord.bot_mention} {unique} what is that?"
    question = await stage.said(channel, "Mina", text, reply_to=said["id"])
    assert f"our token is {MARK}" in await question_of(stage, unique)
    shown = await stage.text_on(question)
    assert ENGLISH.secret_in_quote.format(secrets=ENGLISH.secret_github) in shown
    assert ONE not in shown
    await is_nowhere(stage, TOKEN)


async def test_a_token_above_the_message_replied_to_is_removed(stage: Stage, unique: str) -> None:
    """The bot fetches these messages: Discord's responses are redacted as its events are."""
    channel = await stage.channel()
    first = await stage.discord.say(channel, "Jun", f"our token is {TOKEN}")
    second = await stage.discord.say(channel, "Sora", "and now?", reply_to=first["id"])
    text = f"{stage.discord.bot_mention} {unique} what is that?"
    await stage.said(channel, "Mina", text, reply_to=second["id"])
    assert f"our token is {MARK}" in await question_of(stage, unique)
    await is_nowhere(stage, TOKEN)


async def test_a_token_in_the_first_message_of_a_thread_is_removed(
    stage: Stage, unique: str
) -> None:
    channel = await stage.channel()
    said = await stage.discord.say(channel, "Jun", f"our token is {TOKEN}")
    thread = str(
        (await stage.discord.start_thread(channel, "Jun", "keys", message=said["id"]))["id"]
    )
    await stage.said(thread, "Mina", f"{stage.discord.bot_mention} {unique}?")
    assert f"our token is {MARK}" in await question_of(stage, unique)
    await is_nowhere(stage, TOKEN)


async def test_a_token_in_the_topic_of_the_channel_is_removed(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.discord.edit_channel(channel, topic=f"{unique} with {TOKEN}")
    await stage.asked(f"{unique} what is this place?", channel=channel)
    [system, *_] = await stage.prompt_with(f"{unique} what is this place?")
    assert f"{unique} with {MARK}" in system["content"]
    await is_nowhere(stage, TOKEN)


async def test_a_token_in_ask_is_to_be_renewed(stage: Stage, unique: str) -> None:
    interaction = await ask(stage, await stage.channel(), "Mina", f"{unique} {TOKEN}?")
    [shown] = await answer(stage, interaction)
    assert ENGLISH.secret_in_command.format(secrets=ENGLISH.secret_github) in shown["content"]
    assert MARK in await question_of(stage, unique)
    await is_nowhere(stage, TOKEN)


async def test_a_token_in_a_modal_and_in_the_message_it_is_about_is_removed(
    stage: Stage, unique: str
) -> None:
    said = await stage.discord.say(await stage.channel(), "Jun", f"our token is {TOKEN}")
    await answer(stage, await about(stage, said, "Mina", f"{unique} and {OTHER}?"))
    asked = await question_of(stage, unique)
    assert f"our token is {MARK}" in asked
    assert f"{unique} and [removed: npm token]?" in asked
    await is_nowhere(stage, TOKEN)
    await is_nowhere(stage, OTHER)


async def test_a_token_in_a_system_prompt_is_removed(stage: Stage, unique: str) -> None:
    channel, person = await stage.channel(), await stage.person()
    await stage.discord.permit(person, ["MANAGE_GUILD"])
    shown = await stage.use(channel, "system", by=person, prompt=f"{unique} Use {TOKEN}.")
    said = ENGLISH.system_secret_removed.format(secrets=ENGLISH.secret_github)
    assert shown["content"].endswith(said)
    await stage.asked(f"{unique}?", channel=channel)
    [system, *_] = await stage.prompt_with(f"{unique}?")
    assert f"{unique} Use {MARK}." in system["content"]
    await is_nowhere(stage, TOKEN)


async def test_a_token_that_an_edit_adds_is_removed(stage: Stage, unique: str) -> None:
    question = await stage.asked(f"{unique} why?")
    edited = f"{stage.discord.bot_mention} {unique} why {TOKEN}?"
    await stage.discord.edit(question["channel_id"], question["id"], edited)
    stored = "SELECT question FROM exchanges WHERE message_id = ?"

    async def is_stored() -> bool:
        return MARK in stage.rows(stored, int(question["id"]))[0][0]

    await until(is_stored)
    await is_nowhere(stage, TOKEN)


async def test_a_token_in_a_missed_question_is_removed(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    channel = await stage.channel()
    async with stage.bot():
        await stage.asked(f"{unique} first", channel=channel)
    question = await stage.ask(f"{unique} missed {MISSED}", channel=channel)
    async with stage.bot():
        assert ONE in await stage.text_on(question)
        assert MARK in await question_of(stage, f"{unique} missed")
    await is_nowhere(stage, MISSED)


async def test_the_models_own_words_stay_as_they_are(own_stage: Stage, unique: str) -> None:
    """They are shown, stored and continued after a restart as the model wrote them."""
    stage = own_stage
    await stage.model.reply_when(unique, Script(text=f"It looks like this: {TOKEN}"))
    async with stage.bot():
        question = await stage.asked(f"{unique}?")
        assert await stage.text_on(question) == f"It looks like this: {TOKEN}"
        [(reply,)] = stage.rows("SELECT reply FROM exchanges")
        assert reply == f"It looks like this: {TOKEN}"


async def test_it_is_said_once_and_the_mark_stays_in_the_history(stage: Stage, unique: str) -> None:
    question = await stage.asked(f"{unique} {TOKEN}?")
    follow_up = await stage.said(question["id"], "Mina", f"{unique}b and now?")
    assert MARK in await stage.memory_at(f"{unique}b")
    assert ONE not in await stage.text_on(follow_up)
    [part] = await stage.parts_of(question)
    await stage.model.reply_when(f"{unique} ", Script(text="Another answer"))
    await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.REGENERATE)
    again = await shows(stage, part, "Another answer")
    assert ONE not in again["content"]
    await is_nowhere(stage, TOKEN)


async def test_nothing_is_removed_if_that_is_off(own_stage: Stage, unique: str) -> None:
    async with own_stage.bot(REDACT="false"):
        question = await own_stage.asked(f"{unique} {TOKEN}?")
        assert TOKEN in await question_of(own_stage, unique)
        assert ONE not in await own_stage.text_on(question)

"""Stop, Regenerate and Continue under a reply: permissions and effects, also after a restart."""

from functools import partial

import pytest

from bot.conversation.prompt_markup import CONTINUE_NOTE
from bot.conversation.reply_actions import ReplyAction
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conduct import CREATE
from tests.e2e.conftest import Bot, Message, Stage
from tests.faults.points import until
from tests.faults.test_crash import hours_later, killed

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDLESS = Script(text="word " * 400, chunk_size=5, chunks_per_second=4)


def actions(message: Message) -> list[str]:
    """Return the custom ids of the buttons under *message*, in order."""
    return [one["custom_id"] for row in message["components"] for one in row["components"]]


def labels(message: Message) -> list[str]:
    return [one["label"] for row in message["components"] for one in row["components"]]


async def refusal(stage: Stage, interaction: str) -> Message:
    """Return the ephemeral message that refuses a button press."""

    async def refused() -> bool:
        return bool((await stage.discord.interaction(interaction))["followups"])

    await until(refused)
    [followup] = (await stage.discord.interaction(interaction))["followups"]
    assert followup["flags"] & 64, "it is ephemeral"
    return dict(followup)


async def shows(stage: Stage, part: Message, text: str) -> Message:
    """Return *part* once it contains *text*."""
    found = part

    async def shown() -> bool:
        nonlocal found
        found = await stage.discord.message(part["channel_id"], part["id"])
        return text in found["content"]

    await until(shown)
    return found


async def streaming(stage: Stage, text: str, script: Script, **more: str) -> Message:
    """Ask a question that is answered with *script*; return the first message of the answer."""
    await stage.model.reply_when(text, script, times=1)
    return await stage.first_words_on(await stage.ask(text, **more))


async def test_stop_button_becomes_regenerate_after_the_stream(stage: Stage, unique: str) -> None:
    script = Script(text="One, two, three.", chunk_size=5, stall_after_chunks=1, stall_seconds=40)
    part = await streaming(stage, f"count {unique}", script)
    assert actions(part) == [ReplyAction.STOP]
    await stage.model.resume()
    whole = await shows(stage, part, "three.")
    await until(partial(has_ended, stage, whole))
    after = await stage.discord.message(part["channel_id"], part["id"])
    assert (actions(after), labels(after)) == ([ReplyAction.REGENERATE], [ENGLISH.regenerate_label])


async def has_ended(stage: Stage, part: Message) -> bool:
    message = await stage.discord.message(part["channel_id"], part["id"])
    return ReplyAction.STOP not in actions(message)


async def test_author_can_stop_an_answer(stage: Stage, unique: str) -> None:
    part = await streaming(stage, f"long {unique}", ENDLESS, author="Jun")
    await stage.discord.press(part["channel_id"], "Jun", part["id"], ReplyAction.STOP)
    stopped = await shows(stage, part, ENGLISH.stopped)
    assert actions(stopped) == [ReplyAction.REGENERATE]
    [(state, cut)] = stage.rows(
        "SELECT state, cut FROM exchanges WHERE message_id = ?", int(part["channel_id"])
    )
    assert (state, cut) == ("cancelled", 1)


async def test_other_people_need_manage_messages_for_buttons(stage: Stage, unique: str) -> None:
    person, other, manager = [await stage.person() for _ in range(3)]
    await stage.discord.permit(manager, ["MANAGE_MESSAGES"])
    part = await streaming(stage, f"long {unique}", ENDLESS, author=person)
    place = part["channel_id"]
    pressed = await stage.discord.press(place, other, part["id"], ReplyAction.STOP)
    assert (await refusal(stage, pressed))["content"] == ENGLISH.refused_button
    await stage.logged(f" in channel {place}: not the asker (interaction {pressed}")
    assert not await has_ended(stage, part)
    await stage.discord.press(place, manager, part["id"], ReplyAction.STOP)
    await shows(stage, part, ENGLISH.stopped)
    pressed = await stage.discord.press(place, other, part["id"], ReplyAction.REGENERATE)
    assert (await refusal(stage, pressed))["content"] == ENGLISH.refused_button
    assert len(await stage.requests_with(f"long {unique}")) == 1


async def test_regenerate_reuses_messages_and_the_earlier_history(
    stage: Stage, unique: str
) -> None:
    await stage.model.reply_when(f"first {unique}", "word " * 900, times=1)
    question = await stage.asked(f"first {unique}")
    thread = question["id"]
    first, *others = await stage.parts_of(question)
    assert others, "it takes several messages"
    assert (actions(first), actions(others[-1])) == ([], [ReplyAction.REGENERATE])
    await stage.model.reply_when(f"then {unique}", "Later words.", times=1)
    await stage.said(thread, "Mina", f"then {unique}")
    await stage.model.reply_when(f"first {unique}", "Quite short.", times=1)
    await stage.discord.press(thread, "Mina", others[-1]["id"], ReplyAction.REGENERATE)
    await shows(stage, first, "Quite short.")

    async def alone() -> bool:
        return [part["id"] for part in await stage.parts_of(question)] == [first["id"]]

    await until(alone)
    await until(partial(has_ended, stage, first))
    asked = (await stage.requests_with(f"first {unique}"))[-1].body
    assert asked is not None
    assert "Later words." not in str(asked["messages"])
    assert stage.rows("SELECT reply FROM exchanges WHERE message_id = ?", int(thread)) == [
        ("Quite short.",)
    ]
    await stage.said(thread, "Mina", f"and {unique}")
    assert "Quite short." in await stage.memory_at(f"and {unique}")


async def test_each_regenerated_part_has_a_new_nonce(stage: Stage, unique: str) -> None:
    """With the old nonce, Discord might return the deleted message instead of a new one."""
    long = "word " * 900
    for text in (long, "Quite short.", long):
        await stage.model.reply_when(f"first {unique}", text, times=1)
    question = await stage.asked(f"first {unique}")
    thread = question["id"]
    first, *others = await stage.parts_of(question)
    await stage.discord.press(thread, "Mina", others[-1]["id"], ReplyAction.REGENERATE)

    async def renewed() -> bool:  # The usage is counted last.
        rows = "SELECT sum(answers) FROM usage WHERE channel_id = ?"
        return stage.rows(rows, int(question["channel_id"])) == [(2,)]

    await until(renewed)
    assert [part["id"] for part in await stage.parts_of(question)] == [first["id"]]
    await stage.discord.press(thread, "Mina", first["id"], ReplyAction.REGENERATE)

    async def whole() -> bool:
        parts = await stage.parts_of(question)
        return len(parts) == 1 + len(others) and actions(parts[-1]) == [ReplyAction.REGENERATE]

    await until(whole)
    posted = await stage.discord.requests(method="POST", route=CREATE)
    nonces = [one["body"]["nonce"] for one in posted if f"/{thread}/" in one["path"]]
    assert len(nonces) == 1 + 2 * len(others)
    assert len({*nonces}) == len(nonces)


async def test_reply_in_a_direct_message_can_be_regenerated(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    await stage.model.reply_when(unique, "Old words.", times=1)
    await stage.said(dm, person, f"tell {unique}")
    part = await stage.shown("Old words.", dm)
    await stage.model.reply_when(unique, "New words.", times=1)
    await stage.discord.press(dm, person, part["id"], ReplyAction.REGENERATE)
    await shows(stage, part, "New words.")


async def test_continue_completes_a_truncated_reply(stage: Stage, unique: str) -> None:
    script = Script(text="It begins", finish_reason="length")
    await stage.model.reply_when(f"long {unique}", script, times=1)
    question = await stage.asked(f"long {unique}")
    [part] = await stage.parts_of(question)
    assert actions(part) == [ReplyAction.CONTINUE, ReplyAction.REGENERATE]
    await stage.model.reply_when(CONTINUE_NOTE, " and ends.", times=1)
    await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.CONTINUE)
    whole = await shows(stage, part, "It begins and ends.")
    assert ENGLISH.model_output_truncated not in whole["content"]
    await until(partial(has_ended, stage, part))
    assert stage.rows(
        "SELECT reply, cut FROM exchanges WHERE message_id = ?", int(question["id"])
    ) == [("It begins and ends.", 0)]


async def test_buttons_work_after_a_restart(own_stage: Stage, unique: str) -> None:
    async with own_stage.bot():
        await own_stage.model.reply_when(unique, "Before.", times=1)
        question = await own_stage.asked(f"tell {unique}")
        [part] = await own_stage.parts_of(question)
    async with own_stage.bot():
        await own_stage.model.reply_when(unique, "After.", times=1)
        await own_stage.discord.press(
            part["channel_id"], "Mina", part["id"], ReplyAction.REGENERATE
        )
        await shows(own_stage, part, "After.")


async def test_regenerate_of_a_question_without_an_answer_says_that_there_is_none(
    stage: Stage, unique: str
) -> None:
    refused = Script(status=400, body={"error": {"message": "No"}})
    await stage.model.reply_when(unique, refused, times=2)
    question = await stage.asked(f"tell {unique}")
    [part] = await stage.parts_of(question)
    assert part["content"] == ENGLISH.model_request_refused
    await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.REGENERATE)
    again = await shows(stage, part, ENGLISH.still_no_answer)
    assert ENGLISH.model_request_refused in again["content"]
    assert ENGLISH.previous_answer_kept not in again["content"]
    await stage.model.reply_when(unique, "At last.", times=1)
    await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.REGENERATE)
    assert (await shows(stage, part, "At last."))["content"] == "At last."


async def test_old_reply_is_restored_after_a_kill_while_regenerating(
    own_stage: Stage, unique: str
) -> None:
    async with own_stage.bot() as bot:
        await own_stage.model.reply_when(unique, "The old reply.", times=1)
        question = await own_stage.asked(f"tell {unique}")
        [part] = await own_stage.parts_of(question)
        await own_stage.model.reply_when(unique, ENDLESS, times=1)
        await own_stage.discord.press(
            part["channel_id"], "Mina", part["id"], ReplyAction.REGENERATE
        )
        await shows(own_stage, part, "word word")
        await kill(bot)
    async with own_stage.bot():
        back = await shows(own_stage, part, "The old reply.")
        assert ENGLISH.previous_answer_kept in back["content"]
        assert own_stage.rows("SELECT reply FROM exchanges") == [("The old reply.",)]
        assert len(await own_stage.parts_of(question)) == 1


async def kill(bot: Bot) -> None:
    bot.process.kill()
    await bot.wait()


async def test_forgotten_reply_is_not_regenerated(stage: Stage, unique: str) -> None:
    await stage.model.reply_when(unique, "Fine.", times=1)
    question = await stage.asked(f"tell {unique}")
    [part] = await stage.parts_of(question)
    await stage.use(question["channel_id"], "reset")
    pressed = await stage.discord.press(question["id"], "Mina", part["id"], ReplyAction.REGENERATE)
    assert (await refusal(stage, pressed))["content"] == ENGLISH.answer_forgotten
    assert actions(await stage.discord.message(question["id"], part["id"])) == []


async def test_late_stop_press_says_so(stage: Stage, unique: str) -> None:
    part = await streaming(stage, f"long {unique}", ENDLESS)
    path = f"/messages/{part['id']}$"  # The button stays for as long as the edit takes.
    await stage.discord.fault("delay", method="PATCH", path=path, seconds=2.0, count=None)
    first = await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.STOP)
    second = await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.STOP)
    assert first != second
    assert (await refusal(stage, second))["content"] == ENGLISH.nothing_to_stop


async def test_leftover_stop_button_is_replaced_when_pressed(own_stage: Stage, unique: str) -> None:
    async with own_stage.bot() as bot:
        part = await streaming(own_stage, f"long {unique}", ENDLESS)
        await shows(own_stage, part, "word word word")  # Now the part is recorded.
        await kill(bot)
    own_stage.write("UPDATE exchanges SET state = 'failed', reply = 'It', cut = 1")
    async with own_stage.bot():
        place = part["channel_id"]
        pressed = await own_stage.discord.press(place, "Mina", part["id"], ReplyAction.STOP)
        assert (await refusal(own_stage, pressed))["content"] == ENGLISH.nothing_to_stop
        message = await own_stage.discord.message(place, part["id"])
        assert actions(message) == [ReplyAction.CONTINUE, ReplyAction.REGENERATE]


async def test_regenerate_counts_as_usage_of_the_presser(stage: Stage, unique: str) -> None:
    person, manager = await stage.person(), await stage.person()
    await stage.discord.permit(manager, ["MANAGE_MESSAGES"])
    question = await stage.asked(f"tell {unique}", author=person)
    [part] = await stage.parts_of(question)
    await stage.model.reply_when(unique, "Once more.", times=1)
    await stage.discord.press(question["id"], manager, part["id"], ReplyAction.REGENERATE)
    await shows(stage, part, "Once more.")

    async def counted() -> bool:
        rows = "SELECT answers FROM usage WHERE channel_id = ?"
        return stage.rows(rows, int(question["channel_id"])) == [(1,), (1,)]

    await until(counted)


async def test_rate_limit_applies_to_regenerate(own_stage: Stage, unique: str) -> None:
    async with own_stage.bot(USER_MESSAGES_PER_MINUTE="1"):
        question = await own_stage.asked(f"tell {unique}")
        [part] = await own_stage.parts_of(question)
        pressed = await own_stage.discord.press(
            part["channel_id"], "Mina", part["id"], ReplyAction.REGENERATE
        )
        said = ENGLISH.rate_limited.format(limit=1)
        assert (await refusal(own_stage, pressed))["content"] == said


async def test_buttons_are_in_the_language_of_the_guild(own_stage: Stage, unique: str) -> None:
    async with own_stage.bot(LANGUAGE="ko"):
        question = await own_stage.asked(f"tell {unique}")
        [part] = await own_stage.parts_of(question)
        assert labels(part) == [KOREAN.regenerate_label]


async def test_leftover_buttons_of_old_replies_are_removed_at_their_pace(
    stage: Stage, unique: str
) -> None:
    """Discord allows three edits of messages that are older than an hour, in 6 s and channel."""
    place, first = await stage.channel(), (await stage.discord.requests())[-1]["seq"]
    button = {"type": 2, "style": 4, "label": unique, "custom_id": ReplyAction.STOP}
    row = [{"type": 1, "components": [button]}]
    old = [
        await stage.discord.say(
            place, stage.discord.bot_id, "Cut.", ago_seconds=7200 - number, components=row
        )
        for number in range(4)
    ]
    for message in old:
        await stage.discord.press(place, "Jun", message["id"], ReplyAction.STOP)

    async def removed() -> bool:
        return not any(actions(one) for one in await stage.discord.messages(place))

    await until(removed)
    sent = await stage.discord.requests(after=first, method="PATCH")
    assert [one["status"] for one in sent] == [200] * 4


@pytest.mark.parametrize("action", [ReplyAction.REGENERATE, ReplyAction.CONTINUE, None])
async def test_old_answer_is_edited_at_the_pace_of_its_age(
    own_stage: Stage, unique: str, action: ReplyAction | None
) -> None:
    """People see it grow, Discord refuses no edit, and the end does not wait.

    Without an action, the bot was killed during the answer and starts two hours later.
    """
    stage = own_stage
    begun = Script(
        text="Once.",
        finish_reason="length",
        stall_after_chunks=1,
        stall_seconds=0 if action else 40,
    )
    await stage.model.reply_when(unique, begun, times=1)
    slow = Script(text="word " * 100, chunk_size=5, chunks_per_second=8)
    asks = CONTINUE_NOTE if action is ReplyAction.CONTINUE else unique
    await stage.model.reply_when(asks, slow)
    async with stage.bot() as bot:
        if action is None:
            message = await stage.ask(unique)
            shown = await stage.first_words_on(message)
            await killed(bot)
        else:
            message = await stage.asked(unique)
            [shown] = await stage.parts_of(message)
    await stage.discord.settings(old_message_seconds=0)
    first = (await stage.discord.requests())[-1]["seq"]
    async with stage.bot(**hours_later(stage, 2)):
        place = shown["channel_id"]
        if action is not None:
            await stage.discord.press(place, message["author"]["id"], shown["id"], action)

        async def ended() -> bool:
            after = await stage.discord.message(place, shown["id"])
            is_whole = after["content"].endswith(("word " * 100).strip())
            return is_whole and actions(after) == [ReplyAction.REGENERATE]

        await until(ended)
    edits = await stage.discord.requests(after=first, method="PATCH")
    assert len(edits) >= 4
    assert {one["status"] for one in edits} == {200}
    assert edits[-1]["at"] - edits[-2]["at"] < 3.1
    await stage.discord.settings(old_message_seconds=3600)

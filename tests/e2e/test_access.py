"""The access lists at every entry point: who is refused gets nothing, and the log says why."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from bot.commands.base import Use
from bot.commands.modals import modal_id
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH, Sentences
from bot.sandbox.discord.world import ChannelType
from tests.e2e.conftest import DEADLINE_SECONDS, Bot, Message, Stage
from tests.e2e.test_ask import ask, over, parts
from tests.e2e.test_modals import opened_about
from tests.entry_points import built
from tests.faults.points import THINKING_SECONDS, scripted, until
from tests.faults.test_crash import killed

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPERATING: Final = f"{ENGLISH.operator_name} "  # Its subcommands refuse who is no operator.
# The commands that are open to everybody, and how their answers begin.
OWN_DATA: Final = {
    ENGLISH.privacy_name: lambda strings: strings.privacy_what,
    ENGLISH.export_name: lambda strings: strings.export_nothing,
    ENGLISH.forget_me_name: lambda strings: strings.forget_me_sure,
}
MEMBER: Final = "/guilds/{guild_id}/members/{user_id}"


async def id_of(stage: Stage, person: str) -> str:
    return str((await stage.discord.look())["users"][person])


async def role_of(stage: Stage, person: str) -> str:
    """Give *person* a role of their own and return its id."""
    await stage.discord.permit(person, [])
    [sandbox] = [one for one in (await stage.discord.look())["guilds"] if one["name"] == "Sandbox"]
    return str(sandbox["roles"][f"{person}'s role"])


async def threads_of(stage: Stage, channel: str) -> list[str]:
    return [one["id"] for one in await stage.discord.threads(channel)]


async def check_refused(stage: Stage, answer: Message, strings: Sentences = ENGLISH) -> None:
    assert answer["content"] == strings.refused_person
    assert answer["ephemeral"]


def uses_of(offered: list[Message]) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Yield the kind, the name and the required options of each command and subcommand."""
    for one in offered:
        options = one.get("options") or []
        inner = [option for option in options if option["type"] == 1]
        for name, given in [(f"{one['name']} {sub['name']}", sub) for sub in inner] or [
            (one["name"], one)
        ]:
            required = [option for option in given.get("options") or [] if option.get("required")]
            yield one["type"], name, {option["name"]: value_of(option) for option in required}


def value_of(option: Message) -> str:
    """Return a value for a required option."""
    return str(option["choices"][0]["value"]) if option.get("choices") else "10"


async def only_shown(stage: Stage, interaction: str, text: str) -> bool:
    """Return whether an answer that only the person sees has become *text*."""
    shown = await parts(stage, interaction)
    return [(one["content"], one["ephemeral"]) for one in shown] == [(text, True)]


# The walk: every command, completion, button, modal and message of somebody who is blocked


@pytest.mark.parametrize(
    ("locale", "strings"), [("en-US", ENGLISH), ("ko", KOREAN)], ids=["English", "Korean"]
)
async def test_every_command_of_a_blocked_person_is_refused(
    own_stage: Stage, unique: str, locale: str, strings: Sentences
) -> None:
    """One sentence in their language that nobody else sees; the model is not asked."""
    stage, person = own_stage, await own_stage.person()
    await stage.discord.edit_user(person, locale=locale)
    channel = await stage.channel()
    message = await stage.discord.say(channel, person, f"{unique} to ask about")
    async with stage.bot(BLOCKED_USERS=await id_of(stage, person)):
        await stage.use(channel, "help")
        offered = await stage.discord.commands()
        assert {1, 3} <= {one["type"] for one in offered}, "slash commands and a message menu"
        for kind, name, options in uses_of(offered):
            target = message["id"] if kind == 3 else None
            used = await stage.discord.command(
                channel, person, name, options, force=True, target=target
            )
            if (begins := OWN_DATA.get(name)) is not None:
                shown = await stage.answered(used)
                assert shown["content"].startswith(begins(strings))
                assert shown["ephemeral"]
            elif name.startswith(OPERATING):
                await until(partial(only_shown, stage, used, strings.operator_only))
            else:
                await check_refused(stage, await stage.answered(used), strings)
    assert await stage.completions() == []


async def test_completions_offer_a_blocked_person_nothing(own_stage: Stage) -> None:
    stage, person, channel = own_stage, await own_stage.person(), await own_stage.channel()
    await stage.discord.permit(person, ["MANAGE_GUILD"])
    await stage.discord.settings(interaction_deadline_seconds=1.0)
    try:
        async with stage.bot(BLOCKED_USERS=await id_of(stage, person)):
            await stage.use(channel, "help")
            completed = [
                (one["name"], option["name"])
                for one in await stage.discord.commands()
                for option in one.get("options", ())
                if option.get("autocomplete")
            ]
            assert completed
            for name, option in completed:
                typed = await stage.discord.autocomplete(channel, person, name, option, "")
                seen = await stage.discord.wait_for_answer(typed)
                assert (seen["state"], seen["response"]) == ("failed", None)
    finally:
        await stage.discord.settings(interaction_deadline_seconds=DEADLINE_SECONDS)


async def test_every_button_of_a_blocked_person_is_refused(
    own_stage: Stage, unique: str, tmp_path: Path
) -> None:
    stage, person, channel = own_stage, await own_stage.person(), await own_stage.channel()
    async with built(tmp_path) as found:
        uses = {custom_id: view.use for custom_id, view in found.buttons.items()}
    async with stage.bot(BLOCKED_USERS=await id_of(stage, person)):
        for custom_id, use in uses.items():
            row = [{"type": 2, "style": 2, "label": "Press", "custom_id": custom_id}]
            shown = await stage.discord.say(
                channel, "ChatBot", unique, components=[{"type": 1, "components": row}]
            )
            press = await stage.discord.press(channel, person, shown["id"], custom_id)
            if use is Use.OWN_DATA:
                await stage.logged("Forgot person")
            else:
                await check_refused(stage, await stage.answered(press))


async def test_every_modal_of_a_blocked_person_is_refused(
    own_stage: Stage, unique: str, tmp_path: Path
) -> None:
    """Somebody may have opened it before they were blocked."""
    stage, person, channel = own_stage, await own_stage.person(), await own_stage.channel()
    async with built(tmp_path) as found:
        kinds = found.modals
    assert kinds
    async with stage.bot() as bot:
        said = await stage.discord.say(channel, person, f"{unique} hard words")
        modals = [await opened_about(stage, said, person) for _ in kinds]
        await killed(bot)
    async with stage.bot(BLOCKED_USERS=await id_of(stage, person)):
        for modal, (kind, count) in zip(modals, kinds, strict=True):
            [row] = modal["modal"]["components"]
            sent = await stage.discord.submit_modal(
                modal["interaction"],
                {row["component"]["custom_id"]: f"{unique} why?"},
                custom_id=modal_id(kind, *([int(said["id"])] * count)),
                force=True,
            )
            await check_refused(stage, await stage.answered(sent))
    assert await stage.requests_with(unique) == []


async def test_messages_of_a_blocked_person_get_nothing(own_stage: Stage, unique: str) -> None:
    """No thread, no typing, not stored: not for mentions, replies, follow-ups, edits or DMs."""
    stage, person = own_stage, await own_stage.person()
    channel, blocked = await stage.channel(), await id_of(stage, person)
    direct = await stage.discord.dm(person)
    async with stage.bot(BLOCKED_USERS=blocked):
        first = await stage.asked(f"{unique} of Mina", channel=channel)
        [answer] = await stage.parts_of(first)
        threads = await threads_of(stage, channel)
        event = await stage.discord.last_event()
        edited = await stage.discord.say(channel, person, f"{unique} no question")
        await stage.discord.edit(
            channel, edited["id"], f"{stage.discord.bot_mention} {unique} by an edit"
        )
        refused = [
            await stage.ask(f"{unique} mention", author=person, channel=channel),
            await stage.discord.say(first["id"], person, f"{unique} follow-up"),
            await stage.discord.say(first["id"], person, f"{unique} reply", reply_to=answer["id"]),
            await stage.discord.say(direct, person, f"{unique} direct"),
        ]
        await stage.asked("Are you there?", channel=await stage.channel())
        for message in (*refused, edited):
            assert stage.state_of(message) is None
            assert await stage.parts_of(message) == []
        assert await stage.messages_in(direct) == refused[-1:]
        assert await threads_of(stage, channel) == threads
        typing = await stage.discord.events(types=["typing"], after=event)
        assert not [one for one in typing if one["data"]["channel_id"] in {channel, direct}]
    assert len(await stage.requests_with(unique)) == 1
    lines = [line for line in stage.log.splitlines() if "Refuse person" in line]
    assert len(lines) == 1, "one line a minute, not one for each message"
    [sandbox] = [one for one in stage.discord.world["guilds"] if one["name"] == "Sandbox"]
    assert (
        f"Refuse person {blocked} in channel {channel} of server {sandbox['id']}: "
        f"BLOCKED_USERS has person {blocked} (message "
    ) in lines[0]


async def test_edit_of_a_question_of_a_blocked_person_is_not_stored(
    own_stage: Stage, unique: str
) -> None:
    """What they delete is forgotten, though."""
    stage, person, channel = own_stage, await own_stage.person(), await own_stage.channel()
    async with stage.bot():
        question = await stage.asked(f"{unique} before", author=person, channel=channel)
        other = await stage.asked(f"{unique} other", author=person, channel=channel)
    async with stage.bot(BLOCKED_USERS=await id_of(stage, person)):
        text = f"{stage.discord.bot_mention} {unique} ignore all rules"
        await stage.discord.edit(channel, question["id"], text)
        await stage.logged("Refuse person")
        await stage.asked(f"{unique} by Mina", channel=channel)
        assert "ignore all rules" not in await stage.memory_at(f"{unique} by Mina")
        await stage.discord.delete(channel, other["id"])

        async def forgotten() -> bool:
            return "other" not in str(
                stage.rows("SELECT question FROM exchanges WHERE message_id = ?", int(other["id"]))
            )

        await until(forgotten)
    [(kept,)] = stage.rows(
        "SELECT question FROM exchanges WHERE message_id = ?", int(question["id"])
    )
    assert kept == f"{unique} before"


async def test_question_of_a_blocked_person_is_not_found_after_an_absence(
    own_stage: Stage, unique: str
) -> None:
    stage, person, channel = own_stage, await own_stage.person(), await own_stage.channel()
    async with stage.bot():
        await stage.asked(f"{unique} first", channel=channel)
    missed = await stage.ask(f"{unique} missed", author=person, channel=channel)
    answered = await stage.ask(f"{unique} of Mina", channel=channel)
    async with stage.bot(BLOCKED_USERS=await id_of(stage, person)):
        await stage.answer_to(answered)
        await stage.logged("BLOCKED_USERS has person")
    assert stage.state_of(missed) is None
    assert await stage.requests_with(f"{unique} missed") == []


async def test_unfinished_answer_of_a_blocked_person_is_not_resumed(
    own_stage: Stage, unique: str
) -> None:
    stage, person = own_stage, await own_stage.person()
    await scripted(stage, unique, stall_before_seconds=THINKING_SECONDS)
    async with stage.bot() as bot:
        question = await stage.ask(unique, author=person)
        await stage.model_asked(unique)
        await killed(bot)
    async with stage.bot(BLOCKED_USERS=await id_of(stage, person)):

        async def ended() -> bool:
            return stage.state_of(question) == "failed"

        await until(ended)
    assert len(await stage.requests_with(unique)) == 1
    assert "BLOCKED_USERS has person" in stage.log


@pytest.mark.parametrize("private", [True, False])
async def test_unfinished_answer_to_a_command_of_a_blocked_person_ends(
    own_stage: Stage, unique: str, private: bool
) -> None:
    """A private one says so in place of the words that it is thinking; a public one is silent."""
    stage, person, channel = own_stage, await own_stage.person(), await own_stage.channel()
    await scripted(stage, unique, stall_before_seconds=THINKING_SECONDS)
    async with stage.bot() as bot:
        asked = await ask(stage, channel, person, unique, private=private)
        await stage.model_asked(unique)
        await killed(bot)
    async with stage.bot(BLOCKED_USERS=await id_of(stage, person)):
        await over(stage, asked, "failed")
        shown = [one["content"] for one in await parts(stage, asked)]
        assert shown == [ENGLISH.refused_person if private else ""]
    assert len(await stage.requests_with(unique)) == 1


@pytest.mark.parametrize("name", ["BLOCKED_USERS", "BLOCKED_GUILDS"])
async def test_lists_change_while_the_bot_runs(own_stage: Stage, unique: str, name: str) -> None:
    """A reload closes and opens what it names, from the next message on."""
    stage, person, channel = own_stage, await own_stage.person(), await own_stage.channel()
    [sandbox] = [one for one in stage.discord.world["guilds"] if one["name"] == "Sandbox"]
    blocked = await id_of(stage, person) if name == "BLOCKED_USERS" else sandbox["id"]
    async with stage.bot() as bot:
        await stage.asked(f"{unique} before", author=person, channel=channel)
        await reloaded(stage, bot, f"{name}={blocked}", name)
        refused = await stage.ask(f"{unique} blocked", author=person, channel=channel)
        await stage.logged(f"{name} has")
        await reloaded(stage, bot, "", name)
        await stage.asked(f"{unique} after", author=person, channel=channel)
        assert stage.state_of(refused) is None
        assert await stage.requests_with(f"{unique} blocked") == []


async def reloaded(stage: Stage, bot: Bot, line: str, name: str) -> None:
    """Give the bot a file of settings with this *line*; return when it has changed *name*."""
    said = f"Reload the settings: changed {name}"
    before = bot.log.count(said)
    (stage.folder / ".env").write_text(line)
    bot.process.send_signal(signal.SIGHUP)

    async def is_taken() -> bool:
        return bot.log.count(said) > before

    await until(is_taken)


# Places


@pytest.mark.parametrize("name", ["ALLOWED_CHANNELS", "BLOCKED_CHANNELS"])
async def test_a_category_stands_for_its_channels_and_their_threads(
    own_stage: Stage, unique: str, name: str
) -> None:
    """Also in a thread that the bot has not seen before, and for the commands there."""
    stage = own_stage
    category = await stage.channel(kind=ChannelType.CATEGORY)
    inside, outside = await stage.channel(), await stage.channel()
    await stage.discord.edit_channel(inside, parent_id=category)
    thread = await stage.discord.start_thread(inside, "Jun", "Talk")
    away = await stage.discord.start_thread(outside, "Jun", "Talk")
    open_to, closed = (inside, outside) if name == "ALLOWED_CHANNELS" else (outside, inside)
    threads = (str(thread["id"]), str(away["id"]))
    open_thread, closed_thread = threads if name == "ALLOWED_CHANNELS" else threads[::-1]
    lists: Any = {name: category}
    async with stage.bot(**lists):
        refused = [
            await stage.ask(f"{unique} closed", channel=place) for place in (closed, closed_thread)
        ]
        for place in (closed, closed_thread):
            answer = await stage.use(place, "ask", question=f"{unique} closed")
            assert answer["content"] == ENGLISH.refused_place
        for place in (open_to, open_thread):
            question = await stage.asked(f"{unique} open", channel=place)
            assert question["channel_id"] == place
        for message in refused:
            assert stage.state_of(message) is None
        assert await threads_of(stage, closed) == [closed_thread]
    assert await stage.requests_with(f"{unique} closed") == []


async def test_a_thread_can_be_allowed_alone(own_stage: Stage, unique: str) -> None:
    stage, channel = own_stage, await own_stage.channel()
    thread = str((await stage.discord.start_thread(channel, "Jun", "Talk"))["id"])
    async with stage.bot(ALLOWED_CHANNELS=thread):
        refused = await stage.ask(f"{unique} in the channel", channel=channel)
        await stage.asked(f"{unique} in the thread", channel=thread)
        assert stage.state_of(refused) is None


async def test_admins_may_ask_in_servers_that_are_not_allowed(
    own_stage: Stage, unique: str
) -> None:
    stage, channel = own_stage, await own_stage.channel()
    admin = await id_of(stage, "Mina")
    async with stage.bot(ALLOWED_GUILDS="1", ALLOW_DMS="false", ADMINS=admin):
        refused = await stage.ask(f"{unique} of Jun", author="Jun", channel=channel)
        await stage.asked(f"{unique} of Mina", channel=channel)
        assert stage.state_of(refused) is None
        lines = [line for line in stage.log.splitlines() if "ALLOWED_GUILDS lacks server" in line]
        assert len(lines) == 1
    async with stage.bot(ADMINS=admin, BLOCKED_USERS=admin):
        blocked = await stage.use(channel, "help", by="Mina")
        assert blocked["content"] == ENGLISH.refused_person


# Roles


async def test_roles_come_with_messages_and_commands(own_stage: Stage, unique: str) -> None:
    """The bot need not ask Discord for members, which may refuse it."""
    stage, channel = own_stage, await own_stage.channel()
    helper, other = await stage.person(), await stage.person()
    role = await role_of(stage, helper)
    await role_of(stage, other)
    refusal = {"message": "Missing Access", "code": 50001}
    await stage.discord.fault(
        "answer", method="GET", path=r"/members/\d+$", status=403, body=refusal, count=None
    )
    async with stage.bot(ALLOWED_ROLES=role):
        refused = await stage.ask(f"{unique} other", author=other, channel=channel)
        question = await stage.asked(f"{unique} helper", author=helper, channel=channel)
        await stage.said(question["id"], helper, f"{unique} follow-up of the helper")
        await check_refused(stage, await stage.use(channel, "help", by=other))
        lines = (await stage.use(channel, "help", by=helper))["content"].splitlines()
        assert lines[0] == f"* {ENGLISH.help_may_use}"
        direct = await stage.discord.say(await stage.discord.dm(helper), helper, f"{unique} direct")
        await stage.logged("ALLOWED_USERS and ALLOWED_ROLES lack person")
        await stage.asked("Are you there?", author=helper, channel=channel)
        assert stage.state_of(refused) is None
        assert stage.state_of(direct) is None, "direct messages have no roles"


async def test_roles_are_fetched_once_for_missed_questions(own_stage: Stage, unique: str) -> None:
    """Lists of messages leave out the roles; whoever left the server has none."""
    stage, channel = own_stage, await own_stage.channel()
    helper, other, gone = [await stage.person() for _ in range(3)]
    role = await role_of(stage, helper)
    await stage.discord.permit(gone, [])
    async with stage.bot():
        await stage.asked(f"{unique} first", channel=channel)
    missed = [
        await stage.ask(f"{unique} missed {number}", author=helper, channel=channel)
        for number in range(2)
    ]
    refused = [
        await stage.ask(f"{unique} refused", author=one, channel=channel) for one in (other, gone)
    ]
    await stage.discord.kick(gone)
    before = len(await stage.discord.requests(method="GET", route=MEMBER))
    async with stage.bot(ALLOWED_ROLES=role):
        for question in missed:
            await stage.answer_to(question)
        await stage.logged(f"the roles of person {await id_of(stage, gone)} are not known")
        for question in refused:
            assert stage.state_of(question) is None
    fetched = await stage.discord.requests(method="GET", route=MEMBER)
    assert len(fetched) - before == 3, "one for each person"


async def test_missed_questions_wait_while_discord_does_not_tell_the_roles(
    own_stage: Stage, unique: str
) -> None:
    """A failure of Discord refuses nobody for good."""
    stage, channel, helper = own_stage, await own_stage.channel(), await own_stage.person()
    role = await role_of(stage, helper)
    async with stage.bot():
        await stage.asked(f"{unique} first", channel=channel)
    missed = await stage.ask(f"{unique} missed", author=helper, channel=channel)
    await stage.discord.fault("answer", method="GET", path=r"/members/\d+$", status=200, body={})
    async with stage.bot(ALLOWED_ROLES=role):
        await stage.answer_to(missed)
    assert "Postpone a list of missed messages" in stage.log

"""The commands /reset and /system: effects, permissions and refusals."""

import asyncio

import pytest

from bot.i18n.sentences import ENGLISH
from bot.sandbox.driver import ControlError
from bot.sandbox.model.rules import text_of
from bot.sandbox.model_script import Script
from tests.e2e.conftest import GLANCE_SECONDS, PATIENCE_SECONDS, Stage, field_of, new_guild_channel

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEFAULT_PROMPT = "You are a helpful assistant."
MESSAGE_CALLBACK = 4  # Discord: the response is a message


async def system_prompt_at(stage: Stage, text: str) -> str:
    """Return the system prompt of the newest request whose question contains *text*."""
    first = (await stage.prompt_with(text))[0]
    assert first["role"] == "system"
    return text_of(first)


# /reset


async def test_reset_forgets_this_channel_and_says_how_much(stage: Stage, unique: str) -> None:
    channel, elsewhere = await stage.channel(), await stage.channel()
    for number in range(3):
        await stage.asked(f"before {number} {unique}", channel=channel)
    await stage.asked(f"elsewhere {unique}", channel=elsewhere)
    answer = await stage.use(channel, "reset")
    assert answer["content"] == ENGLISH.reset_done.format(count=3)
    await stage.asked(f"after {unique}", channel=channel)
    assert unique not in await stage.memory_at(f"after {unique}")
    await stage.asked(f"still {unique}", channel=elsewhere)
    assert f"elsewhere {unique}" in await stage.memory_at(f"still {unique}")


async def test_reset_has_sentences_for_one_and_no_exchanges(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.asked(unique, channel=channel)
    assert (await stage.use(channel, "reset"))["content"] == ENGLISH.reset_one
    assert (await stage.use(channel, "reset"))["content"] == ENGLISH.reset_nothing


async def test_reset_in_thread_forgets_it_and_inherits_nothing(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.asked(f"before {unique}", channel=channel)
    thread = (await stage.asked(f"opening {unique}", channel=channel))["id"]
    await stage.said(thread, "Jun", f"inside {unique}")
    answer = await stage.use(thread, "reset")
    assert answer["content"] == ENGLISH.reset_done.format(count=2)
    await stage.said(thread, "Jun", f"again {unique}")
    assert unique not in await stage.memory_at(f"again {unique}")
    await stage.asked(f"outside {unique}", channel=channel)
    memory = await stage.memory_at(f"outside {unique}")
    assert f"before {unique}" in memory
    assert f"opening {unique}" not in memory


async def test_reset_erases_text_from_the_database_file(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.asked(unique, channel=channel)

    def in_file() -> bool:
        files = stage.folder.glob("bot.db*")
        return any(unique.encode() in file.read_bytes() for file in files)

    assert in_file()
    await stage.use(channel, "reset")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while in_file():  # noqa: ASYNC110  # no event for a changed file
            await asyncio.sleep(GLANCE_SECONDS)


@pytest.mark.parametrize("started", [True, False])
async def test_reset_stops_running_and_queued_answers_with_a_notice(
    stage: Stage, unique: str, started: bool
) -> None:
    slow = Script(
        text=f"{unique} and so on. " * 100,
        first_token_delay_seconds=0.0 if started else 30.0,
        chunks_per_second=40,
    )
    await stage.model.reply_when(unique, slow)
    dm = await stage.discord.dm(person := await stage.person())
    running, waiting = [await stage.discord.say(dm, person, f"{unique} {n}") for n in range(2)]
    if started:
        await stage.shown("and so on", dm)
    else:
        await stage.model_asked(unique)
    await stage.use(dm, "reset", by=person)
    [answer], [unbegun] = await asyncio.gather(stage.answer_to(running), stage.answer_to(waiting))
    assert answer["content"].endswith(ENGLISH.stopped_by_reset)
    assert answer["content"].startswith(unique) is started
    assert unbegun["content"] == ENGLISH.stopped_by_reset
    await stage.said(dm, person, "And now?")
    assert unique not in await stage.memory_at("And now?")
    assert stage.state_of(running) == stage.state_of(waiting) == "cancelled"


# /system


async def test_channel_system_prompt_applies_to_its_threads(stage: Stage, unique: str) -> None:
    channel, other = await stage.channel(), await stage.channel()
    thread = (await stage.asked(f"first {unique}", channel=channel))["id"]
    answer = await stage.use(channel, "system", prompt=f"Speak like a pirate {unique}")
    assert answer["content"] == ENGLISH.system_set_channel
    await stage.asked(f"second {unique}", channel=channel)
    await stage.said(thread, "Mina", f"third {unique}")
    await stage.asked(f"fourth {unique}", channel=other)
    for text in ("second", "third"):
        prompt = await system_prompt_at(stage, f"{text} {unique}")
        assert prompt.startswith(f"Speak like a pirate {unique}")
    assert (await system_prompt_at(stage, f"first {unique}")).startswith(DEFAULT_PROMPT)
    assert (await system_prompt_at(stage, f"fourth {unique}")).startswith(DEFAULT_PROMPT)


async def test_thread_can_have_its_own_system_prompt(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    thread = (await stage.asked(f"first {unique}", channel=channel))["id"]
    await stage.use(channel, "system", prompt="The channel's.")
    answer = await stage.use(thread, "system", prompt="The thread's.")
    assert answer["content"] == ENGLISH.system_set_thread
    await stage.said(thread, "Mina", f"second {unique}")
    await stage.asked(f"third {unique}", channel=channel)
    assert (await system_prompt_at(stage, f"second {unique}")).startswith("The thread's.")
    assert (await system_prompt_at(stage, f"third {unique}")).startswith("The channel's.")


async def test_server_system_prompt_applies_without_a_channel_prompt(
    stage: Stage, unique: str
) -> None:
    one = await new_guild_channel(stage, unique)
    other = str((await stage.discord.create_channel("other", guild=f"Guild {unique}"))["id"])
    await stage.use(other, "system", prompt="The channel's own.")
    answer = await stage.use(one, "system", prompt="The server's.", scope="server")
    assert answer["content"] == ENGLISH.system_set_server
    await stage.asked(f"one {unique}", channel=one)
    await stage.asked(f"other {unique}", channel=other)
    await stage.asked(f"elsewhere {unique}")
    assert (await system_prompt_at(stage, f"one {unique}")).startswith("The server's.")
    assert (await system_prompt_at(stage, f"other {unique}")).startswith("The channel's own.")
    assert (await system_prompt_at(stage, f"elsewhere {unique}")).startswith(DEFAULT_PROMPT)


async def test_system_modal_shows_inherited_prompt_as_placeholder(
    stage: Stage, unique: str
) -> None:
    channel = await stage.channel()
    thread = (await stage.asked(f"first {unique}", channel=channel))["id"]
    field = field_of(await stage.use(channel, "system"))
    assert not field.get("value")
    assert DEFAULT_PROMPT in field["placeholder"]
    await stage.use(channel, "system", prompt=f"The channel's {unique}")
    field = field_of(await stage.use(thread, "system"))
    assert not field.get("value")
    assert f"The channel's {unique}" in field["placeholder"]


async def test_system_modal_contains_the_channels_own_prompt(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    long = f"Be brief {unique}.\n" + "And kind. " * 300
    await stage.use(channel, "system", prompt=long)
    modal = await stage.use(channel, "system")
    assert field_of(modal)["value"] == long.strip()
    assert DEFAULT_PROMPT in field_of(modal)["placeholder"]
    answer = await stage.submit(modal, f"Be verbose {unique}")
    assert answer["content"] == ENGLISH.system_set_channel
    await stage.asked(unique, channel=channel)
    assert (await system_prompt_at(stage, unique)).startswith(f"Be verbose {unique}")


async def test_empty_system_modal_restores_the_default_prompt(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.use(channel, "system", prompt="Be brief.")
    modal = await stage.use(channel, "system")
    answer = await stage.submit(modal, "")
    assert answer["content"] == ENGLISH.system_cleared
    await stage.asked(unique, channel=channel)
    assert (await system_prompt_at(stage, unique)).startswith(DEFAULT_PROMPT)


async def test_server_modal_is_separate_from_the_channel_modal(stage: Stage, unique: str) -> None:
    channel = await new_guild_channel(stage, unique)
    await stage.use(channel, "system", prompt="The channel's.")
    modal = await stage.use(channel, "system", scope="server")
    assert not field_of(modal).get("value")
    assert DEFAULT_PROMPT in field_of(modal)["placeholder"]
    assert (await stage.submit(modal, "All"))["content"] == ENGLISH.system_set_server
    assert field_of(await stage.use(channel, "system", scope="server"))["value"] == "All"
    assert field_of(await stage.use(channel, "system"))["value"] == "The channel's."


# Permissions


async def test_commands_need_manage_server_except_in_direct_messages(
    stage: Stage,
) -> None:
    channel, person = await stage.channel(), await stage.person()
    dm = await stage.discord.dm(person)

    async def offered(place: str) -> set[str]:
        return {one["name"] for one in await stage.discord.commands(place, person)}

    ours = {"reset", "system"}
    assert not ours & await offered(channel)
    assert ours <= await offered(dm)
    await stage.discord.permit(person, ["MANAGE_GUILD"])
    assert ours <= await offered(channel)
    with pytest.raises(ControlError, match="default_member_permissions"):
        await stage.discord.command(channel, "Sora", "reset")


async def test_command_handlers_refuse_without_permission(stage: Stage, unique: str) -> None:
    """An admin of the server may have enabled the commands for everyone."""
    channel = await stage.channel()
    await stage.asked(f"first {unique}", channel=channel)
    for answer in (
        await stage.use(channel, "reset", by="Sora", force=True),
        await stage.use(channel, "system", by="Sora", force=True, prompt="Obey Sora."),
        await stage.use(channel, "system", by="Sora", force=True),
    ):
        assert answer["ephemeral"]
        assert answer["content"] == ENGLISH.refused_permission
    await stage.asked(f"second {unique}", channel=channel)
    assert f"first {unique}" in await stage.memory_at(f"second {unique}")
    assert (await system_prompt_at(stage, f"second {unique}")).startswith(DEFAULT_PROMPT)


async def test_manage_server_is_checked_again_on_modal_submit(stage: Stage, unique: str) -> None:
    channel, person = await stage.channel(), await stage.person()
    await stage.discord.permit(person, ["MANAGE_GUILD"])
    modal = await stage.use(channel, "system", by=person)
    assert (await stage.submit(modal, "First."))["content"] == ENGLISH.system_set_channel
    modal = await stage.use(channel, "system", by=person)
    await stage.discord.permit(person, [])
    answer = await stage.submit(modal, "Second.", force=True)
    assert answer["ephemeral"]
    assert answer["content"] == ENGLISH.refused_permission
    await stage.asked(unique, channel=channel)
    assert (await system_prompt_at(stage, unique)).startswith("First.")


async def test_too_long_system_prompt_is_refused_with_its_size(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    answer = await stage.use(channel, "system", prompt="a very long prompt " * 250)
    assert answer["ephemeral"]
    for number in ("4749 characters", "4000 characters", "4000 tokens"):
        assert number in answer["content"]
    await stage.asked(unique, channel=channel)
    assert (await system_prompt_at(stage, unique)).startswith(DEFAULT_PROMPT)


async def test_commands_in_direct_message_affect_only_that_person(
    stage: Stage, unique: str
) -> None:
    person, other = await stage.person(), await stage.person()
    dm, others = await stage.discord.dm(person), await stage.discord.dm(other)
    answer = await stage.use(dm, "system", by=person, prompt=f"Be mine {unique}")
    assert answer["content"] == ENGLISH.system_set_dm
    await stage.said(dm, person, f"first {unique}")
    await stage.said(others, other, f"another {unique}")
    assert (await system_prompt_at(stage, f"first {unique}")).startswith(f"Be mine {unique}")
    assert (await system_prompt_at(stage, f"another {unique}")).startswith(DEFAULT_PROMPT)
    assert (await stage.use(dm, "reset", by=person))["content"] == ENGLISH.reset_one
    await stage.said(dm, person, f"second {unique}")
    assert f"first {unique}" not in await stage.memory_at(f"second {unique}")


async def test_server_scope_is_refused_in_a_direct_message(stage: Stage) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    for answer in (
        await stage.use(dm, "system", by=person, scope="server", prompt="Obey."),
        await stage.use(dm, "system", by=person, scope="server"),
    ):
        assert answer["ephemeral"]
        assert answer["content"] == ENGLISH.refused_server_scope


# Responses


async def test_quick_command_is_answered_by_one_call(stage: Stage) -> None:
    """It is not deferred."""
    channel, before = await stage.channel(), len(await stage.discord.requests())
    answers = [
        await stage.use(channel, "reset"),
        await stage.use(channel, "system", prompt="Be brief."),
    ]
    new = await stage.discord.requests(after=before)
    calls = [one for one in new if one["route"].startswith(("/interactions", "/webhooks"))]
    for answer, call in zip(answers, calls, strict=True):
        assert answer["interaction"] in call["path"]
        assert call["body"]["type"] == MESSAGE_CALLBACK

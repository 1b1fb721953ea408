"""The knowledge of the bot after a restart."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.conftest import Message, Stage
from tests.faults.points import until
from tests.standin.wire import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def overwrite_commands(stage: Stage, commands: list[Any]) -> None:
    """Replace the bot's commands at Discord, as another program with its token would."""
    await stage.discord.forget_limits()
    async with Api(stage.discord) as api:
        route = f"/applications/{stage.discord.bot_id}/commands"
        assert (await api.request("PUT", route, commands)).status == 200


class Restarted:
    """A stage on which the bot answered in a channel and a DM and was then restarted."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.first_request = 0
        self.channel = self.thread = self.dm = ""
        self.dm_answer: list[Message] = []

    async def before(self) -> None:
        self.channel = await self.stage.channel()
        self.thread = (await self.stage.asked("The first question", channel=self.channel))["id"]
        await self.stage.said(self.thread, "Jun", "A follow-up to it")
        self.dm = await self.stage.discord.dm("Sora")
        question = await self.stage.said(self.dm, "Sora", "A private question")
        self.dm_answer = await self.stage.parts_of(question)
        await self.stage.discord.edit_channel(self.thread, archived=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restarted(stand_ins: Stage) -> AsyncIterator[Restarted]:
    async with stand_ins.afresh() as stage:
        await overwrite_commands(stage, [])
        played = Restarted(stage)
        played.first_request = len(await stage.discord.requests())
        async with stage.bot() as first:
            await played.before()
            await stage.logged("Synced the commands")
            assert await first.stop() == 0
        async with stage.bot():
            yield played


async def test_channel_history_survives_a_restart(restarted: Restarted) -> None:
    stage = restarted.stage
    await stage.asked("The second question", channel=restarted.channel)
    memory = await stage.memory_at("The second question")
    assert "The first question" in memory
    assert "A follow-up to it" not in memory


async def test_bot_knows_its_archived_thread_after_a_restart(
    restarted: Restarted,
) -> None:
    stage = restarted.stage
    await stage.said(restarted.thread, "Jun", "Another follow-up")
    memory = await stage.memory_at("Another follow-up")
    assert memory.index("The first question") < memory.index("A follow-up to it")
    assert "The second question" not in memory


async def test_reply_to_answer_from_before_a_restart_is_answered(
    restarted: Restarted,
) -> None:
    stage = restarted.stage
    await stage.said(restarted.dm, "Sora", "And since then?", reply_to=restarted.dm_answer[0]["id"])
    assert "A private question" in await stage.memory_at("And since then?")


async def test_answered_questions_are_not_answered_again(restarted: Restarted) -> None:
    stage = restarted.stage
    await stage.asked("Are you there?")
    assert len(await stage.requests_with("The first question")) == 1
    assert len(await stage.requests_with("A private question")) == 1


async def test_commands_are_synced_only_if_they_changed(restarted: Restarted) -> None:
    stage = restarted.stage
    assert stage.log.count("Synced the commands") == 1
    synced = await stage.discord.requests(after=restarted.first_request, method="PUT")
    assert [one["route"] for one in synced] == ["/applications/{application_id}/commands"]
    assert {command["name"] for command in await stage.discord.commands()} >= {"reset", "system"}


@pytest.mark.parametrize("left", [[], [{"name": "other", "description": "Of another program"}]])
async def test_commands_that_another_program_overwrote_come_back(
    own_stage: Stage, left: list[Any]
) -> None:
    stage = own_stage
    await overwrite_commands(stage, [])
    async with stage.bot():
        await stage.logged("Synced the commands")
    ours = await stage.discord.commands()
    await overwrite_commands(stage, left)

    async def back() -> bool:
        names = {command["name"] for command in await stage.discord.commands()}
        return names == {command["name"] for command in ours}

    async with stage.bot():
        await until(back)


async def test_commands_follow_what_the_application_allows(own_stage: Stage) -> None:
    stage = own_stage
    await overwrite_commands(stage, [])
    await stage.discord.settings(portal={"user_install": False})
    async with stage.bot():
        await stage.logged("Synced the commands")
    commands = await stage.discord.commands()
    assert {command["name"] for command in commands} >= {"ask", "reset"}
    assert {tuple(command["integration_types"]) for command in commands} == {(0,)}
    await stage.discord.settings(portal={"user_install": True})

    async def for_people() -> bool:
        installs = [command["integration_types"] for command in await stage.discord.commands()]
        return [0, 1] in installs

    async with stage.bot():
        await until(for_people)

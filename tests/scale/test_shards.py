"""Several shards in one process: who hears what, who answers, and what a restart keeps."""

import asyncio
import random
from dataclasses import replace

import aiohttp
import pytest

from tests.e2e.conftest import Stage
from tests.e2e.operator_use import operator
from tests.e2e.test_ask import ask
from tests.e2e.test_own_data import forget
from tests.faults.points import until
from tests.faults.test_crash import killed
from tests.scale.fleet import HELD, Fleet, a_fleet, gaps, identified

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANY = pytest.param(16, marks=pytest.mark.variation)


@pytest.mark.parametrize("total", [1, 4, MANY])
async def test_each_guild_is_heard_by_one_shard(own_stage: Stage, unique: str, total: int) -> None:
    """The first one has the direct messages; the commands are synced once."""
    async with a_fleet(own_stage, total) as fleet, fleet.bot():
        questions = await fleet.ask_each(unique)
        person = await own_stage.person()
        dm = await own_stage.discord.dm(person)
        questions.append(await own_stage.discord.say(dm, person, f"{unique} in private"))
        await fleet.are_answered_once(questions)
        assert sum(await fleet.guild_counts()) >= total
        assert own_stage.log.count("Synced the commands") <= 1


@pytest.mark.parametrize("foreign_shard", [-1, 0, 3])
async def test_command_in_a_foreign_guild_is_answered_once(
    own_stage: Stage, unique: str, foreign_shard: int
) -> None:
    """Whichever shard receives it: Discord does not document which."""
    async with a_fleet(own_stage, 4, foreign_shard=foreign_shard) as fleet, fleet.bot():
        person = await own_stage.person()
        place = await fleet.guild(1, with_bot=False)
        await own_stage.discord.edit_user(person, installed_bot=True)
        await own_stage.discord.wait_for_commands()
        interaction = await ask(own_stage, place, person, unique)
        await own_stage.logged(f"Ended question {interaction} by ")
        assert len(await own_stage.requests_with(unique)) == 1


@pytest.mark.parametrize("foreign_shard", [-1, 3])
async def test_command_in_a_foreign_guild_is_resumed_by_the_shard_that_received_it(
    own_stage: Stage, unique: str, foreign_shard: int
) -> None:
    await own_stage.model.reply_when(unique, HELD, times=1)
    async with a_fleet(own_stage, 4, foreign_shard=foreign_shard) as fleet:
        person = await own_stage.person()
        place = await fleet.guild(1, with_bot=False)
        await own_stage.discord.edit_user(person, installed_bot=True)
        async with fleet.bot() as bot:
            await own_stage.discord.wait_for_commands()
            interaction = await ask(own_stage, place, person, unique)
            await own_stage.model_asked(unique)
            # All shards look for open questions, and leave this one to the one that answers it.
            await own_stage.discord.gateway("invalid_session", resumable=False)
            await fleet.connected(after=await own_stage.discord.last_event())
            await own_stage.discord.settings(foreign_shard=0)
            assert len(await own_stage.requests_with(unique)) == 1
            await killed(bot)
        async with fleet.bot():
            await own_stage.logged(f"Ended question {interaction} by ")
            assert len(await own_stage.requests_with(unique)) == 2


async def test_answers_of_all_shards_are_continued_after_a_kill(
    own_stage: Stage, unique: str
) -> None:
    async with a_fleet(own_stage, 4) as fleet:
        for shard in range(4):
            await own_stage.model.reply_when(f"{unique} of {shard}.", HELD, times=1)
        async with fleet.bot() as bot:
            questions = await fleet.ask_each(unique)
            first_words = await fleet.are_begun(questions)
            await killed(bot)
        async with fleet.bot():
            await fleet.are_answered_once(questions, requests=2)
        shown = [(await own_stage.parts_of(question))[0]["id"] for question in questions]
        assert shown == [one["id"] for one in first_words], "in the same messages"


async def test_all_shards_finish_their_answers_on_sigterm(own_stage: Stage, unique: str) -> None:
    async with a_fleet(own_stage, 4) as fleet:
        slow = replace(HELD, stall_seconds=1.0)
        await own_stage.model.reply_when(unique, slow)
        async with fleet.bot() as bot:
            questions = await fleet.ask_each(unique)
            await fleet.are_begun(questions)
            before = await own_stage.discord.last_event()
            assert await bot.stop() == 0
        assert "Leave " not in own_stage.log
        await fleet.are_answered_once(questions)
        ends = await own_stage.discord.events(types=["gateway_disconnect"], after=before)
        assert [end["data"]["code"] for end in ends] == [1000] * 4


async def test_answers_that_do_not_fit_into_the_grace_period_are_continued(
    own_stage: Stage, unique: str
) -> None:
    async with a_fleet(own_stage, 4) as fleet:
        for shard in range(4):
            await own_stage.model.reply_when(f"{unique} of {shard}.", HELD, times=1)
        async with fleet.bot(SHUTDOWN_GRACE="1") as bot:
            questions = await fleet.ask_each(unique)
            await fleet.are_begun(questions)
            assert await bot.stop() == 0
        async with fleet.bot():
            await fleet.are_answered_once(questions, requests=2)


async def test_forget_me_withdraws_what_another_shard_is_answering(
    own_stage: Stage, unique: str
) -> None:
    person = await own_stage.person()
    await own_stage.model.reply_when(unique, HELD)
    async with a_fleet(own_stage, 4) as fleet, fleet.bot():
        question = await own_stage.ask(unique, channel=fleet.channels[3], author=person)
        await own_stage.first_words_on(question)
        assert await forget(own_stage, fleet.channels[1], person)

        async def withdrawn() -> bool:
            return not await own_stage.parts_of(question)

        await until(withdrawn)


async def test_blocking_a_person_counts_for_all_shards(own_stage: Stage, unique: str) -> None:
    person = await own_stage.person()
    async with a_fleet(own_stage, 4) as fleet, fleet.bot():
        await own_stage.discord.wait_for_commands()
        blocked = str((await own_stage.discord.look())["users"][person])
        await operator(own_stage, "block", person=blocked)
        for channel in fleet.channels:
            await own_stage.ask(unique, channel=channel, author=person)
        await own_stage.asked("Are you there?")
        assert await own_stage.requests_with(unique) == []
        status = await operator(own_stage, "status")
        servers = f"Connected to {sum(await fleet.guild_counts())} servers"
        assert servers in status, "those of all shards"
        await operator(own_stage, "unblock", person=blocked)


@pytest.mark.parametrize(
    "max_concurrency",
    [16, *(pytest.param(number, marks=pytest.mark.variation) for number in (1, 2))],
)
async def test_identifies_are_apart_by_rate_limit_key(
    own_stage: Stage, max_concurrency: int
) -> None:
    """Discord: 5 s for shards with the same shard_id % max_concurrency, and op 9 for others."""
    async with a_fleet(own_stage, 4, max_concurrency=max_concurrency) as fleet:
        await own_stage.discord.settings(identify_interval_seconds=5.0)
        await asyncio.sleep(5.0)  # An earlier bot has used the slots.
        before = await own_stage.discord.last_event()
        async with fleet.bot():
            events = await identified(own_stage, after=before)
        refused = await own_stage.discord.events(types=["gateway_invalid_session"], after=before)
        assert refused == []
        assert len(events) == 4
        assert all(5.0 <= gap < 7.0 for gap in gaps(events, max_concurrency))


@pytest.mark.variation
async def test_shards_come_back_one_by_one_from_invalid_sessions(
    own_stage: Stage, unique: str
) -> None:
    """Op 9 comes at random moments, as when another program identifies with the same token."""
    dice = random.Random(18)
    async with a_fleet(own_stage, 4) as fleet, fleet.bot():
        for number in range(3):
            before, shard = await own_stage.discord.last_event(), dice.randrange(4)
            question = await own_stage.ask(f"{unique} {number}.", channel=fleet.channels[shard])
            await own_stage.discord.gateway("invalid_session", resumable=False, shard=shard)
            missed = await own_stage.ask(
                f"{unique} missed {number}.", channel=fleet.channels[shard]
            )
            await fleet.are_answered_once([question, missed])
            await own_stage.discord.wait_for(
                lambda _: True, types=["gateway_ready"], after=before, timeout_seconds=60.0
            )
            events = await identified(own_stage, after=before)
            assert [event["data"]["shard"] for event in events] == [[shard, 4]]


@pytest.mark.parametrize("totals", [(1, 4, 3, 1)])
async def test_a_changed_number_of_shards_loses_nothing(
    own_stage: Stage, unique: str, totals: tuple[int, ...]
) -> None:
    async with a_fleet(own_stage, 12) as places:
        async with Fleet(own_stage, 1).bot():
            await places.are_answered_once(await places.ask_each(f"{unique} first"))
        for number, total in enumerate(totals):
            missed = await places.ask_each(f"{unique} missed {number}")
            async with Fleet(own_stage, total).bot():
                await places.are_answered_once(missed)
                await places.are_answered_once(await places.ask_each(f"{unique} heard {number}"))
        names = {name for (name,) in own_stage.rows("SELECT name FROM facts")}
        assert not {name for name in names if "/" in name}, "no facts of former shards are left"


async def test_too_many_guilds_for_one_shard_name_the_remedy(own_stage: Stage) -> None:
    async with a_fleet(own_stage, 2, guilds_per_shard=1), own_stage.bot(connected=False) as bot:
        assert await bot.wait() == 2
    assert "SHARDS=auto" in own_stage.log


async def test_auto_uses_the_number_that_discord_recommends_and_keeps_it(
    own_stage: Stage, unique: str
) -> None:
    async with a_fleet(own_stage, 3) as fleet:
        async with fleet.bot(SHARDS="auto"):
            await fleet.are_answered_once(await fleet.ask_each(unique))
        await own_stage.discord.settings(shards=5)
        async with fleet.bot(SHARDS="auto"):
            await fleet.are_answered_once(await fleet.ask_each(f"{unique} again"))
    assert own_stage.log.count("Use 3 shards: ") == 1


async def test_auto_asks_again_once_discord_refuses_the_number(own_stage: Stage) -> None:
    async with a_fleet(own_stage, 2) as fleet:
        async with fleet.bot(SHARDS="auto"):
            pass
        await own_stage.discord.settings(shards=4, shard_multiple=4)
        async with own_stage.bot(connected=False, SHARDS="auto") as bot:
            assert await bot.wait() == 2
        async with Fleet(own_stage, 4).bot(SHARDS="auto"):
            pass
        await own_stage.discord.settings(shard_multiple=1)


@pytest.mark.variation
async def test_a_refused_intent_costs_one_identify(own_stage: Stage, unique: str) -> None:
    async with a_fleet(own_stage, 3, max_concurrency=1) as fleet:
        await own_stage.discord.settings(portal={"message_content": False})
        before = await own_stage.discord.last_event()
        async with fleet.bot():
            await fleet.are_answered_once(await fleet.ask_each(unique))
        assert len(await identified(own_stage, after=before)) == 4
    assert own_stage.log.count("Connect without the Message Content Intent") == 1


async def test_readiness_and_metrics_name_each_shard(
    own_stage: Stage, unused_tcp_port: int
) -> None:
    address = f"http://127.0.0.1:{unused_tcp_port}"

    async def body(path: str) -> str:
        async with aiohttp.request("GET", address + path) as response:
            return await response.text()

    async def all_connected() -> bool:
        return (await body("/readyz")).count('"connected"') == 3

    async with a_fleet(own_stage, 3) as fleet, fleet.bot(HEALTH_PORT=str(unused_tcp_port)):
        await until(all_connected)
        figures = await body("/metrics")
        assert "chatbot_shards_held 3.0" in figures
        for shard in range(3):
            assert f'chatbot_gateway_connected{{shard="{shard}"}} 1.0' in figures

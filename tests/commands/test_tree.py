"""Autocomplete in time or not at all, and commands that are synced only if they changed."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.backoff import Backoff
from bot.commands import tree as tree_module
from bot.commands.base import Refused, localized, user_installable
from bot.commands.definitions import Definition
from bot.commands.tree import CHOICES, FINGERPRINT, CommandTree
from bot.errors import HistoryFailed
from bot.i18n.sentences import ENGLISH
from bot.storage.exchanges import History
from bot.storage.facts import Facts
from tests.commands.doubles import DoubleInteraction, authorizer_for
from tests.doubles import PATIENCE_SECONDS

Choices = list[app_commands.Choice[str]]


class SyncedTree(CommandTree):
    """A command tree and a double of Discord, which keeps what the tree registers.

    *failure* is raised in place of each request. *refuses* judges a list of commands.
    """

    failure: Exception | None = None
    application: Any = None

    def __init__(self, facts: Facts) -> None:
        client = discord.Client(intents=discord.Intents.none())
        super().__init__(client, facts, authorizer_for(7))
        self.overwritten: list[list[Definition]] = []
        self.at_discord: list[Definition] = []
        self.refuses: Callable[[list[Definition]], bool] = lambda _: False

    async def _application(self) -> Any:
        return self.application

    async def _registered(self) -> list[Definition]:
        if self.failure is not None:
            raise self.failure
        return self.at_discord

    async def _overwrite(self, definitions: list[Definition]) -> list[Definition]:
        if self.refuses(definitions):
            raise refusal("Invalid Form Body: 0.integration_types.1")
        self.overwritten.append(definitions)
        self.at_discord = [
            as_discord_shows(one, version=100 * len(self.overwritten) + number)
            for number, one in enumerate(definitions)
        ]
        return self.at_discord


def refusal(text: str, status: int = 400, code: int = 50035) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=status, reason="Bad Request", headers={})
    return discord.HTTPException(response, {"code": code, "message": text})


def unavailable() -> discord.DiscordServerError:
    response: Any = SimpleNamespace(status=503, reason="Unavailable", headers={})
    return discord.DiscordServerError(response, "Unavailable")


def page() -> discord.HTTPException:
    response: Any = SimpleNamespace(status=403, reason="Forbidden", headers={})
    return discord.HTTPException(response, "<html>Blocked</html>")


def as_discord_shows(definition: Definition, version: int) -> Definition:
    """Return a definition with what Discord adds to it."""
    added = {"id": str(version), "application_id": "5", "version": str(version), "type": 1}
    defaults = {"nsfw": False, "dm_permission": True, "default_permission": True, "new": {"x": 1}}
    nulls = dict.fromkeys(("default_member_permissions", "description_localizations"))
    shown = {**nulls, **added, **defaults, **definition}
    if shown.get("default_member_permissions") is not None:
        shown["default_member_permissions"] = str(shown["default_member_permissions"])
    shown["options"] = [
        {"name_localizations": None, "description_localizations": None, "required": False} | option
        for option in definition.get("options", [])
    ]
    return shown


@dataclass
class Typing(DoubleInteraction):
    """Somebody types into an option of a command."""

    type: discord.InteractionType = discord.InteractionType.autocomplete
    choices: Choices = field(default_factory=list)

    async def autocomplete(self, choices: Choices) -> None:
        if self.failure is not None:
            raise self.failure
        self.choices = choices


def typing(option: str, value: str, **more: Any) -> Typing:
    options = [{"name": "scope", "value": "x"}, {"name": option, "value": value, "focused": True}]
    return Typing(data={"name": "model", "options": options}, **more)


@pytest.fixture
def tree(history: History) -> SyncedTree:
    tree = SyncedTree(history.facts)
    add_model(tree, "Choose a model")
    add_menu(tree)
    return tree


def restarted(tree: SyncedTree, facts: Facts) -> SyncedTree:
    """Return the same tree after a restart of the bot."""
    again = SyncedTree(facts)
    add_model(again, "Choose a model")
    add_menu(again)
    again.at_discord, again.refuses, again.application = (
        tree.at_discord,
        tree.refuses,
        tree.application,
    )
    return again


def add_menu(tree: CommandTree) -> None:
    @tree.context_menu(name=localized(lambda t: t.ask_about_menu))
    @user_installable
    async def about(_interaction: discord.Interaction, message: discord.Message) -> None:
        raise AssertionError(message)


def add_model(tree: CommandTree, description: str) -> None:
    @tree.command(description=description)
    async def model(_interaction: discord.Interaction, name: str) -> None:
        raise AssertionError(name)

    async def complete(_interaction: discord.Interaction, typed: str) -> Choices:
        if typed == "refused":
            raise Refused(lambda t: t.refused_place)
        return [app_commands.Choice(name=f"{typed}{n}", value=str(n)) for n in range(CHOICES + 1)]

    tree.complete(model, "name", complete)


async def check(tree: CommandTree, interaction: Any) -> bool:
    return await tree.interaction_check(interaction)


async def test_autocomplete_gets_the_typed_text(tree: SyncedTree) -> None:
    interaction = typing("name", "m")
    assert not await check(tree, interaction), "discord.py has nothing left to do"
    assert [choice.name for choice in interaction.choices] == [f"m{n}" for n in range(CHOICES)]


@pytest.mark.parametrize("interaction", [typing("other", "m"), typing("name", "refused")])
async def test_autocomplete_may_offer_nothing(
    tree: SyncedTree, interaction: Typing, caplog: pytest.LogCaptureFixture
) -> None:
    assert not await check(tree, interaction)
    assert (interaction.choices, caplog.messages) == ([], [])


async def test_late_autocomplete_is_not_an_error(
    tree: SyncedTree, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await check(tree, typing("name", "m", failure=OSError()))
    assert caplog.record_tuples == [
        ("bot.commands.tree", logging.INFO, "Cannot autocomplete model: OSError")
    ]


async def test_other_interactions_pass_on_to_their_command(tree: SyncedTree) -> None:
    assert await check(tree, DoubleInteraction())


async def test_no_command_is_used_where_the_bot_may_not_work(tree: SyncedTree) -> None:
    with pytest.raises(Refused, match=ENGLISH.refused_place):
        await check(tree, DoubleInteraction(guild_id=8))
    elsewhere = typing("name", "m", guild_id=8)
    assert not await check(tree, elsewhere)
    assert elsewhere.choices == []


async def test_commands_are_synced_only_if_they_change(tree: SyncedTree) -> None:
    await tree.sync_if_changed()
    await tree.sync_if_changed()
    assert len(tree.overwritten) == 1
    tree.remove_command("model")
    add_model(tree, "Choose another model")
    await tree.sync_if_changed()
    assert len(tree.overwritten) == 2


async def test_a_new_database_does_not_sync_what_discord_has(tree: SyncedTree) -> None:
    await tree.sync_if_changed()
    await tree._facts.set(FINGERPRINT, "of another database")
    tree.at_discord.reverse()
    await tree.sync_if_changed()
    assert len(tree.overwritten) == 1


def emptied(commands: list[Definition]) -> list[Definition]:
    return commands[:0]


def without_one(commands: list[Definition]) -> list[Definition]:
    return commands[1:]


def with_another(commands: list[Definition]) -> list[Definition]:
    return [*commands, as_discord_shows({"name": "other", "description": "Other"}, 9)]


def changed(**changes: Any) -> Callable[[list[Definition]], list[Definition]]:
    return lambda commands: [commands[0] | changes | {"version": "7"}, *commands[1:]]


@pytest.mark.parametrize(
    "overwrite",
    [
        *(emptied, without_one, with_another, changed(name="modell"), changed(description="Other")),
        *(changed(nsfw=True), changed(default_member_permissions="0"), changed(options=[])),
        *(changed(contexts=[0]), changed(integration_types=[0, 1])),
        *(changed(name_localizations={"ko": "x"}), changed(description_localizations={"ja": "x"})),
        changed(options=[{"type": 3, "name": "name", "description": "…", "required": False}]),
    ],
)
async def test_what_another_program_changed_comes_back(
    tree: SyncedTree, overwrite: Callable[[list[Definition]], list[Definition]]
) -> None:
    await tree.sync_if_changed()
    ours, tree.at_discord = tree.at_discord, overwrite(tree.at_discord)
    await tree.sync_if_changed()
    assert tree.overwritten[1:] == [tree.overwritten[0]]
    assert [one["name"] for one in tree.at_discord] == [one["name"] for one in ours]
    await tree.sync_if_changed()
    assert len(tree.overwritten) == 2


async def test_a_form_that_discord_gives_to_commands_is_no_change(
    tree: SyncedTree, history: History
) -> None:
    """Discord may write a command in a way that nobody foresees; its version is the same then."""
    await tree.sync_if_changed()
    for one in tree.at_discord:
        one["description"] = one["description"].upper() if "description" in one else "-"
    again = restarted(tree, history.facts)
    await again.sync_if_changed()
    assert again.overwritten == []


UNCLEAR: list[Any] = [{}, None, 5, "x", {"2": {}}]


async def test_a_command_without_a_version_is_compared_by_its_fields(tree: SyncedTree) -> None:
    await tree.sync_if_changed()
    for one in tree.at_discord:
        del one["version"]
    await tree.sync_if_changed()
    await tree.sync_if_changed()
    assert len(tree.overwritten) == 1
    tree.at_discord[0]["description"] = "Other"
    await tree.sync_if_changed()
    assert len(tree.overwritten) == 2


@pytest.mark.parametrize(
    ("config", "installs"),
    [
        ({"0": {}}, [[0], [0]]),
        ({"0": {"oauth2_install_params": {"scopes": []}}, "1": {}}, [[0], [0, 1]]),
        ({"1": {}}, [[1]]),
        *((unclear, [[0], [0, 1]]) for unclear in UNCLEAR),
    ],
)
async def test_installs_follow_what_the_application_allows(
    tree: SyncedTree, config: Any, installs: list[list[int]]
) -> None:
    tree.application = {"id": "5", "integration_types_config": config}
    await tree.sync_if_changed()
    assert [one["integration_types"] for one in tree.overwritten[0]] == installs
    for one in tree.overwritten[0]:
        assert (2 in one["contexts"]) == (1 in one["integration_types"])


async def test_an_application_that_allows_more_gets_more(
    tree: SyncedTree, history: History
) -> None:
    tree.application = {"integration_types_config": {"0": {}}}
    await tree.sync_if_changed()
    again = restarted(tree, history.facts)
    again.application = {"integration_types_config": {"0": {}, "1": {}}}
    await again.sync_if_changed()
    assert [one["integration_types"] for one in again.overwritten[0]] == [[0], [0, 1]]


async def test_refused_user_installs_leave_commands_for_servers(
    tree: SyncedTree, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    tree.refuses = lambda definitions: any(1 in one["integration_types"] for one in definitions)
    await tree.sync_if_changed()
    assert [one["integration_types"] for one in tree.at_discord] == [[0], [0]]
    [warning] = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "50035" in warning.getMessage()
    again = restarted(tree, history.facts)
    caplog.clear()
    await again.sync_if_changed()
    assert (again.overwritten, caplog.messages) == ([], []), "it is said once"


async def test_commands_that_are_refused_anyway_are_reported_with_the_reason(
    tree: SyncedTree, caplog: pytest.LogCaptureFixture
) -> None:
    tree.refuses = lambda _: True
    await tree.sync_if_changed()
    [message] = caplog.messages
    assert message.startswith("Cannot sync the commands: 400 50035 Invalid Form Body")


async def test_the_entry_point_of_an_activity_is_kept(tree: SyncedTree) -> None:
    """Discord refuses a list of commands without it."""
    entry = {"id": "4", "version": "4", "type": 4, "name": "launch", "handler": 2}
    tree.at_discord = [entry]
    await tree.sync_if_changed()
    assert tree.overwritten[0][-1] == {"id": "4", "type": 4, "name": "launch", "handler": 2}
    tree.at_discord[-1] = entry
    await tree._facts.set(FINGERPRINT, "of another database")
    await tree.sync_if_changed()
    assert len(tree.overwritten) == 1


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        *((error, type(error).__name__) for error in (OSError(), TimeoutError(), KeyError("id"))),
        (discord.RateLimited(9.0), "RateLimited"),
        (unavailable(), "DiscordServerError"),
        (page(), "403 0 <html>Blocked</html>"),
        (refusal("Daily limit", 400, 30034), "400 30034 Daily limit"),
        (refusal("Blocked by Cloudflare", 403, 40333), "403 40333 Blocked by Cloudflare"),
    ],
)
async def test_a_failed_sync_is_repeated_until_it_succeeds(
    tree: SyncedTree,
    failure: Exception,
    reason: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tree_module, "SYNC_BACKOFF", Backoff(0.001, 0.01))
    tree.failure = failure
    syncing = asyncio.create_task(tree.sync_if_changed())
    line = f"Cannot sync the commands: {reason}"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while caplog.messages.count(line) < 2:  # noqa: ASYNC110  # no event for a log line
            await asyncio.sleep(0.001)
        tree.failure = None
        await syncing
    assert len(tree.overwritten) == 1


async def test_a_refused_sync_is_not_repeated(
    tree: SyncedTree, caplog: pytest.LogCaptureFixture
) -> None:
    tree.failure = refusal("Missing Access", 403)
    await tree.sync_if_changed()
    assert caplog.messages == ["Cannot sync the commands: 403 50035 Missing Access"]


class NoFacts:
    """A database that fails."""

    async def get(self, name: str) -> str | None:
        raise HistoryFailed(name)

    async def set(self, name: str, value: str) -> None:
        raise HistoryFailed(f"{name} {value}")


async def test_commands_are_synced_without_a_database() -> None:
    facts: Any = NoFacts()
    tree = SyncedTree(facts)
    add_model(tree, "Choose a model")
    await tree.sync_if_changed()
    await tree.sync_if_changed()
    assert len(tree.overwritten) == 1

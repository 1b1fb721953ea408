"""The command /model: which model answers here, and for those who rule here, another one."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import discord
from discord import app_commands

from bot.assistant.assistant import Assistant
from bot.commands.base import (
    CHANNEL_SCOPE,
    SCOPES,
    Commands,
    Refused,
    localized,
    rules,
    scope_choices,
)
from bot.commands.tree import CHOICE_LENGTH, CHOICES, CompletingTree
from bot.conversation.exchange import Conversation
from bot.i18n.sentences import Sentences
from bot.llm.model_catalog import ModelList
from bot.storage.preferences import Override, Scope

DEFAULT: Final = "default"  # what people choose to go back; no model can be chosen by this name
LOOK_SECONDS: Final = 2.0  # Discord: 3 s, of which the way there and back takes some
PATIENT_SECONDS: Final = 15.0  # where somebody is told to wait; the look itself ends before
NAMES_LENGTH: Final = 600  # characters of names in a sentence


class Models:
    """Shows and sets the model of a place."""

    def __init__(self, commands: Commands, assistant: Assistant, models: ModelList) -> None:
        self._commands = commands
        self._assistant = assistant
        self._models = models

    def add_to(self, tree: CompletingTree[Any]) -> None:
        """Add the command."""

        @tree.command(
            name=localized(lambda t: t.model_name),
            description=localized(lambda t: t.model_description),
        )
        @app_commands.rename(
            model=localized(lambda t: t.model_option_name),
            scope=localized(lambda t: t.system_scope_option_name),
        )
        @app_commands.describe(
            model=localized(lambda t: t.model_name_option),
            scope=localized(lambda t: t.system_scope_option),
        )
        @app_commands.choices(scope=scope_choices())
        async def model(
            interaction: discord.Interaction, model: str | None = None, scope: str = CHANNEL_SCOPE
        ) -> None:
            if scope not in SCOPES:
                raise Refused(lambda t: t.command_failed)
            if model is None:
                await self._show(interaction)
            else:
                await self._set(interaction, model.strip(), SCOPES[scope])

        tree.complete(model, "model", self._complete)

    async def _show(self, interaction: discord.Interaction) -> None:
        strings = self._commands.heard(interaction)
        place = self._commands.place_of(interaction)
        name, choice = await self._assistant.model_in(place)
        await self._models.look(LOOK_SECONDS)
        sentences = [strings.help_model.format(model=shown(name)), _why(choice, place, strings)]
        shutdown = self._models.shutdown_of(name)
        if shutdown is not None:
            sentences.append(strings.model_shutdown.format(date=shutdown))
        await interaction.response.send_message("\n".join(sentences), ephemeral=True)

    async def _set(self, interaction: discord.Interaction, name: str, scope: Scope) -> None:
        place = self._commands.place_to_rule(interaction, scope)

        async def work() -> str:
            if name != DEFAULT:
                await self._check(name)
            await self._assistant.choose_model(scope, place, "" if name == DEFAULT else name)
            return (await self._assistant.model_in(place))[0]

        now = await self._commands.done(interaction, work())
        strings = self._commands.strings_for(interaction)
        if name == DEFAULT:
            sentence = strings.model_cleared.format(model=shown(now))
        else:
            sentence = _set_sentence(place, scope, strings).format(model=shown(name))
        await self._commands.tell(interaction, sentence)

    async def _check(self, name: str) -> None:
        """Raise Refused for what is no model that may be chosen."""
        if name == self._models.default:
            return
        if not self._models.given:
            await self._models.look(PATIENT_SECONDS)
        if not self._models.known:
            raise Refused(lambda t: t.model_list_missing)
        if name not in self._models.names:
            names = enumerated(self._models.names)
            raise Refused(lambda t: t.model_not_offered.format(model=shown(name), models=names))

    async def _complete(
        self, interaction: discord.Interaction, typed: str
    ) -> list[app_commands.Choice[str]]:
        strings = self._commands.heard(interaction)
        if not rules(interaction):
            return []
        if not self._models.given:
            await self._models.look(LOOK_SECONDS)
        back = strings.model_default_choice.format(model=self._models.default)
        labels = {DEFAULT: back[:CHOICE_LENGTH]}
        labels |= {name: self._label(name, strings) for name in self._models.names if fits(name)}
        return [
            app_commands.Choice(name=labels[value], value=value)
            for value in matching(labels, typed)
        ]

    def _label(self, name: str, strings: Sentences) -> str:
        shutdown = self._models.shutdown_of(name)
        if shutdown is None:
            return name
        label = strings.model_until_choice.format(model=name, date=shutdown)
        return label if fits(label) else name


def fits(text: str) -> bool:
    """Whether a choice may be called so."""
    return len(text) <= CHOICE_LENGTH


def matching(names: Iterable[str], typed: str) -> Sequence[str]:
    """Return the names that hold what is *typed*, those that begin with it first, 25 at most."""
    wanted = typed.strip().casefold()
    found = [name for name in names if wanted in name.casefold()]
    return sorted(found, key=lambda name: not name.casefold().startswith(wanted))[:CHOICES]


def shown(name: str) -> str:
    """Return the name of a model, or what somebody took for one, as it stands in a message."""
    plain = name.replace("`", "'")[:CHOICE_LENGTH]
    return f"`{plain}`"


def enumerated(names: Iterable[str], most_characters: int = NAMES_LENGTH) -> str:
    """Return names of models in a row, as many as fit into a sentence."""
    text = ""
    for name in map(shown, names):
        if len(text) + len(name) > most_characters:
            return f"{text} …"
        text = f"{text}, {name}" if text else name
    return text


def _why(choice: Override | None, place: Conversation, strings: Sentences) -> str:
    if choice is None:
        return strings.model_why_default
    if choice.scope == "guild":
        return strings.model_why_server
    own = choice.scope_id == place.channel_id
    return strings.model_why_own if own else strings.model_why_channel


def _set_sentence(place: Conversation, scope: Scope, strings: Sentences) -> str:
    if scope == "guild":
        return strings.model_set_server
    if place.guild_id is None:
        return strings.model_set_dm
    return strings.model_set_thread if place.parent_id else strings.model_set_channel

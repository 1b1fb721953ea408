"""The command /model: which model answers in a place, and for its managers another one."""

from collections.abc import Iterable, Sequence
from typing import Final

import discord
from discord import app_commands

from bot.assistant.overrides import Overrides
from bot.commands.base import Refused, is_manager, managed_place, option, place_of, strings_for
from bot.commands.responses import confirm, run_or_defer
from bot.commands.scopes import CHANNEL_SCOPE, chosen_scope, confirmation_for, scope_option
from bot.commands.surface import Surface
from bot.commands.tree import CHOICE_LENGTH, CHOICES, Choices
from bot.conversation.exchange import Conversation
from bot.i18n.sentences import Sentences
from bot.llm.model_catalog import ModelCatalog
from bot.replies.interaction_channel import ANSWER_SECONDS
from bot.storage.preferences import Override, Scope

DEFAULT: Final = "default"  # what people choose to go back; no model can be chosen by this name
DEFERRED_LOOK_SECONDS: Final = 15.0  # for a deferred answer; the request itself ends sooner
NAMES_LENGTH: Final = 600  # characters of model names in a sentence


def add_model(surface: Surface, overrides: Overrides, models: ModelCatalog) -> None:
    """Add the command, and the autocomplete of its option."""

    @surface.command(lambda t: t.model_name, lambda t: t.model_description)
    @option("model", lambda t: t.model_option_name, lambda t: t.model_option)
    @scope_option
    async def command(
        interaction: discord.Interaction, model: str | None = None, scope: str = CHANNEL_SCOPE
    ) -> None:
        chosen = chosen_scope(scope)
        if model is None:
            await _show(interaction, overrides, models)
        else:
            await _set(interaction, overrides, models, model.strip(), chosen)

    async def complete(interaction: discord.Interaction, typed: str) -> Choices:
        return await _choices(interaction, models, typed)

    surface.tree.complete(command, "model", complete)


async def _show(
    interaction: discord.Interaction, overrides: Overrides, models: ModelCatalog
) -> None:
    place, strings = place_of(interaction), strings_for(interaction)
    effective = await overrides.at(place)
    name = effective.model
    await models.refresh(ANSWER_SECONDS)
    sentences = [
        strings.help_model.format(model=quoted(name)),
        _reason(effective.model_override, place, strings),
    ]
    shutdown = models.listed(name).shutdown
    if shutdown is not None:
        sentences.append(strings.model_shutdown.format(date=shutdown))
    await interaction.response.send_message("\n".join(sentences), ephemeral=True)


async def _set(
    interaction: discord.Interaction,
    overrides: Overrides,
    models: ModelCatalog,
    name: str,
    scope: Scope,
) -> None:
    place = managed_place(interaction, scope)

    async def work() -> str:
        if name != DEFAULT:
            await _check(name, models)
        await overrides.set_model(scope, place, "" if name == DEFAULT else name)
        return (await overrides.at(place)).model

    now = await run_or_defer(interaction, work())
    strings = strings_for(interaction)
    if name == DEFAULT:
        sentence = strings.model_cleared.format(model=quoted(now))
    else:
        template = confirmation_for(
            place,
            scope,
            channel=strings.model_set_channel,
            thread=strings.model_set_thread,
            dm=strings.model_set_dm,
            server=strings.model_set_server,
        )
        sentence = template.format(model=quoted(name))
    await confirm(interaction, sentence)


async def _check(name: str, models: ModelCatalog) -> None:
    """Raise Refused unless *name* is a model that may be chosen."""
    if name == models.default:
        return
    if not models.given:
        await models.refresh(DEFERRED_LOOK_SECONDS)
    if not models.known:
        raise Refused(lambda t: t.model_list_missing)
    if name not in models.names:
        names = enumerated(models.names)
        raise Refused(lambda t: t.model_not_offered.format(model=quoted(name), models=names))


async def _choices(interaction: discord.Interaction, models: ModelCatalog, typed: str) -> Choices:
    if not is_manager(interaction):
        return []
    if not models.given:
        await models.refresh(ANSWER_SECONDS)
    strings = strings_for(interaction)
    default = strings.model_default_choice.format(model=models.default)
    labels = {DEFAULT: default[:CHOICE_LENGTH]}
    labels |= {name: _label(name, models, strings) for name in models.names if fits(name)}
    return [
        app_commands.Choice(name=labels[value], value=value) for value in matching(labels, typed)
    ]


def _label(name: str, models: ModelCatalog, strings: Sentences) -> str:
    shutdown = models.listed(name).shutdown
    if shutdown is None:
        return name
    label = strings.model_until_choice.format(model=name, date=shutdown)
    return label if fits(label) else name


def fits(text: str) -> bool:
    """Whether *text* is short enough for a choice."""
    return len(text) <= CHOICE_LENGTH


def matching(names: Iterable[str], typed: str) -> Sequence[str]:
    """Return up to 25 names that contain *typed*, those that begin with it first."""
    wanted = typed.strip().casefold()
    found = [name for name in names if wanted in name.casefold()]
    return sorted(found, key=lambda name: not name.casefold().startswith(wanted))[:CHOICES]


def quoted(name: str) -> str:
    """Return the name of a model, or what somebody typed as one, as inline code."""
    plain = name.replace("`", "'")[:CHOICE_LENGTH]
    return f"`{plain}`"


def enumerated(names: Iterable[str], max_characters: int = NAMES_LENGTH) -> str:
    """Return the names of models separated by commas, as many as fit into a sentence."""
    text = ""
    for name in map(quoted, names):
        if len(text) + len(name) > max_characters:
            return f"{text} …"
        text = f"{text}, {name}" if text else name
    return text


def _reason(override: Override | None, place: Conversation, strings: Sentences) -> str:
    if override is None:
        return strings.model_reason_default
    if override.scope == "guild":
        return strings.model_reason_server
    own = override.scope_id == place.channel_id
    return strings.model_reason_own if own else strings.model_reason_channel

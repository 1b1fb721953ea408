"""The slash commands of a client: autocompleted, translated, and synced if they changed."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

import discord
from discord import app_commands
from discord.http import Route

from bot.backoff import Backoff, jittered
from bot.commands.base import Authorizer, Use
from bot.commands.definitions import (
    GUILDS,
    Definition,
    are_same,
    entry_points,
    fingerprint,
    supported_installs,
    within,
)
from bot.commands.responses import UNANSWERABLE, report_error
from bot.errors import HistoryFailed
from bot.i18n.languages import of_locale
from bot.i18n.sentences import ENGLISH
from bot.log_events import as_event
from bot.storage.facts import Facts
from bot.transport.calls import FAILURES, GARBLED, is_transient

log = logging.getLogger(__name__)

CHOICES: Final = 25  # Discord: in one autocomplete response
CHOICE_LENGTH: Final = 100  # Discord: the name of a choice, and its value
FINGERPRINT: Final = "commands"
SYNC_BACKOFF: Final = Backoff(30.0, 3600.0)
DAILY_LIMIT: Final = 30034  # Discord: too many commands created today
REASON_LENGTH: Final = 300  # characters of a refusal in the log

Choices = list[app_commands.Choice[str]]
Complete = Callable[[discord.Interaction, str], Coroutine[Any, Any, Choices]]


class CommandTree(app_commands.CommandTree[discord.Client]):
    """The commands of a client; *facts* keeps the fingerprint of the last sync.

    It answers autocomplete by itself: discord.py would log as an error that an answer came too
    late, as many do, or that Discord still offers an older definition of a command.
    """

    def __init__(self, client: discord.Client, facts: Facts, authorizer: Authorizer) -> None:
        super().__init__(
            client,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )
        self._facts = facts
        self._authorizer = authorizer
        self._completions: dict[tuple[str, str], Complete] = {}

    def complete(
        self, command: app_commands.Command[Any, ..., Any], option: str, complete: Complete
    ) -> None:
        """Offer for *option* the choices that *complete* returns for what is typed so far.

        It raises AppCommandError if there is nothing to offer.
        """
        self._completions[command.name, option] = complete
        command.autocomplete(option)(complete)  # So Discord is told that it has autocomplete.

    async def sync_if_changed(self) -> None:
        """Register the commands at Discord, unless it has them already.

        If Discord cannot be reached, try again until it can: a bot without commands looks broken.
        """
        translator = Translator()
        await self.set_translator(translator)
        ours = [
            await command.get_translated_payload(self, translator)
            for command in self.get_commands()
        ]
        for failures in itertools.count(1):
            try:
                await self._sync(ours)
                return
            except (*FAILURES, *GARBLED, discord.RateLimited) as error:
                _log_failed_sync(error, type(error).__name__)
            except discord.HTTPException as error:
                _log_failed_sync(error, _reason(error))
                # Another one is a page of Cloudflare, or Discord takes the commands later.
                if error.code and error.code != DAILY_LIMIT and not is_transient(error):
                    return
            await asyncio.sleep(jittered(SYNC_BACKOFF.seconds(failures)))

    async def _sync(self, ours: list[Definition]) -> None:
        wanted = within(ours, supported_installs(await self._application()))
        registered = await self._registered()
        # Discord may write a definition in another form, so the versions are compared first.
        if fingerprint(wanted, registered) == await self._last_fingerprint():
            return
        if not are_same(wanted, registered):
            registered = await self._register(wanted, registered)
            log.info("Synced the commands", extra=as_event("commands_synced"))
        with suppress(HistoryFailed):  # The next start compares the commands themselves.
            await self._facts.set(FINGERPRINT, fingerprint(wanted, registered))

    async def _register(
        self, wanted: list[Definition], registered: Sequence[Definition]
    ) -> list[Definition]:
        """Replace the *registered* commands; return the new ones as Discord describes them."""
        kept = entry_points(registered)
        try:
            return await self._overwrite([*wanted, *kept])
        except discord.HTTPException as refusal:
            guilds_only = within(wanted, {GUILDS})
            if not 400 <= refusal.status < 500 or guilds_only == wanted:
                raise
            made = await self._overwrite([*guilds_only, *kept])
            # Logged only now: if this failed too, user installs were not the reason.
            log.warning("Cannot offer commands outside of servers: %s", _reason(refusal))
            return made

    async def _last_fingerprint(self) -> str | None:
        with suppress(HistoryFailed):
            return await self._facts.get(FINGERPRINT)
        return None

    async def _application(self) -> Any:
        """Return the application as Discord describes it, None if Discord refuses to."""
        with suppress(discord.Forbidden, discord.NotFound):
            return await self.client.http.request(Route("GET", "/applications/@me"))
        return None

    async def _registered(self) -> list[Definition]:
        # Without translations, a change to one would not be seen.
        path = "/applications/{application_id}/commands"
        route = Route("GET", path, application_id=self.client.application_id)
        registered: Any = await self.client.http.request(
            route, params={"with_localizations": "true"}
        )
        return list(registered)

    async def _overwrite(self, definitions: list[Definition]) -> list[Definition]:
        application_id = self.client.application_id
        assert application_id is not None
        made: Any = await self.client.http.bulk_upsert_global_commands(application_id, definitions)
        return list(made)

    async def interaction_check(self, interaction: discord.Interaction, /) -> bool:
        """Answer autocomplete here, and pass an authorized command on; raises Refused."""
        if interaction.type is not discord.InteractionType.autocomplete:
            command = interaction.command
            use = command.extras.get(Use, Use.JUDGED) if command is not None else Use.JUDGED
            self._authorizer.authorize(interaction, use)
            return True
        name, option, typed = _focused(interaction)
        complete = self._completions.get((name, option))
        if complete is not None:
            try:
                self._authorizer.authorize(interaction)
                choices = await complete(interaction, typed)
                await interaction.response.autocomplete(choices[:CHOICES])
            except app_commands.AppCommandError:
                log.debug("Nothing to autocomplete: %s", name)
            except UNANSWERABLE as failure:
                log.info("Cannot autocomplete %s: %s", name, type(failure).__name__)
        return False

    async def _call(self, interaction: discord.Interaction) -> None:
        """Report a command that discord.py cannot parse as an outdated one."""
        try:
            await super()._call(interaction)
        except GARBLED as error:
            raise app_commands.AppCommandError(type(error).__name__) from error

    async def on_error(
        self, interaction: discord.Interaction, error: app_commands.AppCommandError, /
    ) -> None:
        """Tell the person why a command failed."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        await report_error(interaction, cause)


class Translator(app_commands.Translator):
    """Gives Discord the names and descriptions of commands in languages other than English."""

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,  # noqa: ARG002  # discord.py gives it
    ) -> str | None:
        """Return *string* in the language of *locale*, None if Discord shows the English one."""
        strings, explain = of_locale(locale.value), string.extras.get("explain")
        return explain(strings) if explain is not None and strings is not ENGLISH else None


def _reason(refusal: discord.HTTPException) -> str:
    """Return why Discord refused a list of commands; it repeats nothing that people wrote."""
    return f"{refusal.status} {refusal.code} {' '.join(refusal.text.split())}"[:REASON_LENGTH]


def _focused(interaction: discord.Interaction) -> tuple[str, str, str]:
    """Return the command, the option that somebody is typing into, and its text so far."""
    data: Any = interaction.data
    options = data.get("options", [])
    focused: dict[str, Any] = next((one for one in options if one.get("focused")), {})
    return data["name"], focused.get("name", ""), focused.get("value", "")


def _log_failed_sync(error: Exception, reason: str) -> None:
    failed = as_event("commands_not_synced", outcome=type(error).__name__)
    log.warning("Cannot sync the commands: %s", reason, extra=failed)

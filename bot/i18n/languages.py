"""Which language the bot uses where, and with whom."""

from collections.abc import Callable
from typing import Final

from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH, Sentences

LANGUAGES: Final[dict[str, Sentences]] = {"en": ENGLISH, "ko": KOREAN}


class Languages:
    """Chooses the language for a place or an answer.

    *default* is a key of LANGUAGES. *locale_of* returns the preferred locale of a guild, None if it
    has none.
    """

    def __init__(
        self, default: str, locale_of: Callable[[int], str | None] = lambda _guild_id: None
    ) -> None:
        self.default: Final = LANGUAGES[default]
        self._locale_of = locale_of

    def of_guild(self, guild_id: int | None) -> Sentences:
        """Return the language of a guild; direct messages, which are None, have the default."""
        locale = self._locale_of(guild_id) if guild_id is not None else None
        return LANGUAGES.get(_language_of(locale or ""), self.default)

    def of_answer(self, guild_id: int | None, private_locale: str) -> Sentences:
        """Return the language of an answer: the person's if only they see it, else the guild's.

        *private_locale* is the person's locale, "" if everybody sees the answer.
        """
        return of_locale(private_locale) if private_locale else self.of_guild(guild_id)


def of_locale(locale: str) -> Sentences:
    """Return the language of a person with a locale such as ko or en-GB.

    Everyone else reads English, because Discord shows them the English names of the commands.
    """
    return LANGUAGES.get(_language_of(locale), ENGLISH)


def _language_of(locale: str) -> str:
    return locale.partition("-")[0]

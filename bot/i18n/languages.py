"""Which language is spoken where."""

from collections.abc import Callable
from typing import Final

from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH, Sentences

LANGUAGES: Final = {"en": ENGLISH, "ko": KOREAN}


class Languages:
    """Chooses sentences by place and by locale.

    *default* is a key of LANGUAGES. *locale_of* returns the locale that a guild prefers, None if it
    prefers none.
    """

    def __init__(
        self, default: str, locale_of: Callable[[int], str | None] = lambda _guild_id: None
    ) -> None:
        self.default: Final = LANGUAGES[default]
        self._locale_of = locale_of

    def of_guild(self, guild_id: int | None) -> Sentences:
        """Return what is said in a guild, or in direct messages, where None knows the language."""
        locale = self._locale_of(guild_id) if guild_id is not None else None
        return LANGUAGES.get(_language_of(locale or ""), self.default)

    def of_answer(self, guild_id: int | None, private_locale: str) -> Sentences:
        """Return the language of an answer: that of the only person who sees it, if it is private.

        *private_locale* is that person's locale, "" if everybody sees the answer.
        """
        return of_locale(private_locale) if private_locale else self.of_guild(guild_id)


def of_locale(locale: str) -> Sentences:
    """Return what is said to a person with a locale, such as ko or en-GB.

    That is English for all others: so they see the names of the commands.
    """
    return LANGUAGES.get(_language_of(locale), ENGLISH)


def _language_of(locale: str) -> str:
    return locale.partition("-")[0]

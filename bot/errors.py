"""The errors that this program tells apart, and what people read about each.

BotError
├── StartRefused              ends the program with its sentence, exit code 2
│   ├── SettingsInvalid       all problems at once
│   ├── HistoryUnusable       the database cannot be opened
│   │   └── HistoryInUse      another instance of this program has it open
│   ├── BackupFailed          the database cannot be copied
│   ├── MoveFailed            the database cannot be moved to another one
│   ├── DiscordRefused        token, intents or shard refused for good
│   ├── HealthPortRefused     HEALTH_PORT cannot be opened
│   └── QuestionRefused       the terminal has no question, or one that it cannot read
├── HistoryFailed             one read or write of the database failed
│   └── HistoryInDoubt        a write may have been stored: its answer was lost
├── SystemPromptTooLong       with its numbers
├── SystemPromptFlagged       the moderation service flagged it
├── SystemPromptUnchecked     it must be checked, but the moderation service fails
├── UserRateLimited           somebody asks faster than they may
├── BudgetSpent               a person, a server or the bot has used up its budget
├── QueueFull                 too many questions wait in one place
├── NothingAsked              nothing in a question can be read
├── ReplyLost                 the place of an answer is deleted or forbidden
├── ReplyBlocked              Discord or a server's AutoMod refuses the text of an answer
├── ReplyDelayed              Discord does not take an answer now; it may later
└── ModelError                a completion failed
    ├── ModelKeyRefused       the API does not accept the key
    ├── ModelAccessDenied     the API refuses access for another reason
    ├── ModelQuotaExceeded    the account has no credit left
    ├── ModelUnknown          the API does not know the model
    │   └── ModelAddressWrong     there is no chat API at the address
    ├── ModelBusy             the API is overloaded or limits requests
    │   └── ModelRateLimited      it does so for more than a minute
    ├── ModelUnreachable      there is no connection to the API
    ├── ModelTimeout          the API was silent for too long
    ├── ModelContextExceeded  the request is too long
    │   └── ModelReplyTooLong     the reply limit alone is too large
    ├── ModelRequestRefused   the API calls the request malformed
    ├── ImagesUnsupported     the model takes no images
    ├── ContentFiltered       the API's content filter stopped the answer
    ├── ModelEmpty            the answer has no text
    ├── OutputTruncated       cut at the limit of REPLY_TOKENS
    ├── ModelThoughtOnly      thinking used up that limit before the answer began
    │   └── ModelThoughtCramped   thinking filled the context window
    ├── ModelCut              the stream ended before the answer did
    │   └── ModelStopped          the API named an unknown reason for the end
    └── ModelFailed           everything else that the API can do wrong
        ├── ModelEmptyBody    a response of status 200 with an empty body
        └── ModelFailedOnImages   a bare error 500 to a request with images
"""

from collections.abc import Iterable, Mapping
from typing import Final

from bot.conversation.context_window import NO_REPORTED_LIMITS, ReportedLimits
from bot.i18n.sentences import Explain, Sentences
from bot.i18n.times import discord_countdown, discord_time


class BotError(Exception):
    """Base of all errors that this program raises; the text is for the log, `explain` for people.

    An error that has no sentence in EXPLANATIONS is explained like its base class.
    """

    def explain(self, strings: Sentences) -> str:
        """Return what happened and what to do now, for the person who asked."""
        explain = next(EXPLANATIONS[kind] for kind in type(self).__mro__ if kind in EXPLANATIONS)
        return explain(strings)


class StartRefused(BotError):
    """The program cannot start or continue; the text is a sentence for the operator."""


class SettingsInvalid(StartRefused):
    """Settings are missing or wrong: the text has a line for each, *fields* their names.

    There are no names if the file with the settings cannot be read.
    """

    def __init__(self, text: str, fields: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.fields = tuple(fields)


class HistoryUnusable(StartRefused):
    """The database cannot be opened."""


class HistoryInUse(HistoryUnusable):
    """Another instance of this program has the database open."""


class BackupFailed(StartRefused):
    """The database cannot be copied; the text says why and what to do."""


class MoveFailed(StartRefused):
    """The database cannot be moved to another one; the text says why and what to do."""


class DiscordRefused(StartRefused):
    """Discord refuses this bot, and trying again would not help."""


class HealthPortRefused(StartRefused):
    """HEALTH_PORT cannot be opened: without it, a supervisor would take the bot for dead."""


class QuestionRefused(StartRefused):
    """The terminal has no question, or one that it cannot read."""


class HistoryFailed(BotError):
    """One read or write of the database failed, and nothing was stored.

    *is_transient* says whether it may succeed later, for example if the disk is full.
    """

    def __init__(self, why: str, *, is_transient: bool = True) -> None:
        super().__init__(why)
        self.is_transient = is_transient


class HistoryInDoubt(HistoryFailed):
    """The connection was lost before the database could say whether a write was stored.

    It must not be repeated unless that changes nothing.
    """


class SystemPromptTooLong(BotError):
    """A system prompt is longer than a limit, in characters or in tokens."""

    def __init__(
        self, characters: int, character_limit: int, tokens: int, token_limit: int
    ) -> None:
        super().__init__(f"{characters} characters, {tokens} tokens")
        self.characters = characters
        self.character_limit = character_limit
        self.tokens = tokens
        self.token_limit = token_limit

    def explain(self, strings: Sentences) -> str:
        return strings.system_too_long.format_map(vars(self))


class SystemPromptFlagged(BotError):
    """A system prompt is not set, because the moderation service flagged it."""


class SystemPromptUnchecked(BotError):
    """A system prompt is not set, because it must be checked and cannot be."""


class UserRateLimited(BotError):
    """Somebody asked more than *limit* questions in a minute; the question is dropped."""

    def __init__(self, limit: int) -> None:
        super().__init__("more questions in a minute than one person may ask")
        self.limit = limit

    def explain(self, strings: Sentences) -> str:
        return strings.rate_limited.format(limit=self.limit)


class BudgetSpent(BotError):
    """A person, a server or the bot has used up what it may use in a day or a month.

    The budget resets at *resets_at*, in seconds since 1970; 0 if nothing is allowed at all.
    """

    def __init__(self, scope: str, period: str, resets_at: int) -> None:
        super().__init__(f"the budget of the {scope} for the {period} is used up")
        self.scope = scope
        self.period = period
        self.resets_at = resets_at

    def explain(self, strings: Sentences) -> str:
        if not self.resets_at:
            return strings.budget_nothing
        sentence = BUDGET_SENTENCES[self.scope, self.period](strings)
        return sentence.format(when=discord_countdown(self.resets_at))


class QueueFull(BotError):
    """Too many questions already wait for an answer in this place.

    *first* says whether this is the first question too many, which gets a notice.
    """

    def __init__(self, *, first: bool = True) -> None:
        super().__init__("too many questions wait")
        self.first = first


class NothingAsked(BotError):
    """There is nothing to ask the model: neither words nor a file that can be read."""


class ReplyLost(BotError):
    """An answer can never be shown: its place is deleted, or the bot may not write there."""


class ReplyBlocked(BotError):
    """A rule of the server or of Discord refuses the text of an answer."""


class ReplyDelayed(BotError):
    """Discord does not take an answer now. The stored answer is shown later."""


class ModelError(BotError):
    """A completion failed.

    *is_transient* means that the same request may succeed later. *wait_seconds* is how long the
    server asks to wait, 0 if it does not say. *reported* are the token counts in the error, if any.
    """

    is_transient = False
    wait_seconds = 0.0
    reported: ReportedLimits = NO_REPORTED_LIMITS

    def explain_unfinished(self, strings: Sentences) -> str:
        """Return the sentence under an answer that failed before its end.

        It advises to continue the answer where `explain` advises to ask again.
        """
        asks_again = isinstance(self, ASKS_AGAIN) and not isinstance(self, ModelRateLimited)
        return strings.model_unfinished if asks_again else self.explain(strings)


class ModelKeyRefused(ModelError):
    """The API does not accept the key (401)."""


class ModelAccessDenied(ModelError):
    """The API refuses access, but not because of the key: in this region, for example (403)."""


class ModelQuotaExceeded(ModelError):
    """The account behind the key has no credit left."""


class ModelUnknown(ModelError):
    """The API does not know the model, or this path (404)."""


class ModelAddressWrong(ModelUnknown):
    """There is a web page or another API at the address, but no chat API."""


class ModelBusy(ModelError):
    """Too many requests, or the API is overloaded (429, 503)."""

    is_transient = True


class ModelRateLimited(ModelBusy):
    """The API refuses requests for more than a minute, for example for the rest of the day.

    *until* is when it accepts them again, in seconds since 1970, 0 if that is unknown.
    """

    def __init__(self, why: str = "", until: int = 0) -> None:
        super().__init__(why)
        self.until = until
        self.is_transient = until > 0

    def explain(self, strings: Sentences) -> str:
        if not self.until:
            return strings.model_rate_limited
        return strings.model_rate_limited_until.format(when=discord_time(self.until))


class ModelUnreachable(ModelError):
    """No connection to the API."""

    is_transient = True


class ModelTimeout(ModelError):
    """The API was silent for longer than the settings allow."""


class ModelContextExceeded(ModelError):
    """The request is longer than the context window; *reported* are the counts in the error."""

    def __init__(self, why: str = "", reported: ReportedLimits = NO_REPORTED_LIMITS) -> None:
        super().__init__(why)
        self.reported = reported


class ModelReplyTooLong(ModelContextExceeded):
    """The reply limit that was sent is more than the model allows."""


class ModelRequestRefused(ModelError):
    """The API calls the request malformed (400, 422)."""


class ImagesUnsupported(ModelError):
    """The model takes no images at all."""


class ContentFiltered(ModelError):
    """The API's content filter stopped the answer."""


class ModelEmpty(ModelError):
    """The answer ended without any text."""


class OutputTruncated(ModelError):
    """The answer reached the limit on its length, REPLY_TOKENS."""


class ModelThoughtOnly(ModelError):
    """Thinking used up the limit on the answer's length before the answer began."""


class ModelThoughtCramped(ModelThoughtOnly):
    """Thinking filled the context window before the answer began."""


class ModelCut(ModelError):
    """The stream ended before the answer did."""


class ModelStopped(ModelCut):
    """The API ended the answer with an unknown finish reason, so the answer may not be whole."""


class ModelFailed(ModelError):
    """The API failed in a way that no other class names."""

    is_transient = True


class ModelFailedOnImages(ModelFailed):
    """The API failed without saying why (500); the images in the request may be the reason."""


class ModelEmptyBody(ModelFailed):
    """The API sent a success and an empty body, as some servers do if a prompt is too long."""

    is_transient = False


BUDGET_SENTENCES: Final[Mapping[tuple[str, str], Explain]] = {
    ("person", "day"): lambda t: t.budget_person_day,
    ("person", "month"): lambda t: t.budget_person_month,
    ("server", "day"): lambda t: t.budget_server_day,
    ("server", "month"): lambda t: t.budget_server_month,
    ("bot", "day"): lambda t: t.budget_bot_day,
    ("bot", "month"): lambda t: t.budget_bot_month,
}
# Errors whose sentences advise to ask again in a minute.
ASKS_AGAIN: Final = (ModelBusy, ModelUnreachable, ModelTimeout, ModelFailed)
EXPLANATIONS: Final[Mapping[type, Explain]] = {
    SystemPromptFlagged: lambda t: t.system_flagged,
    SystemPromptUnchecked: lambda t: t.system_unchecked,
    BotError: lambda t: t.answer_failed,
    HistoryFailed: lambda t: t.memory_unreadable,
    QueueFull: lambda t: t.queue_full,
    ModelError: lambda t: t.model_failed,
    ModelKeyRefused: lambda t: t.model_key_refused,
    ModelAccessDenied: lambda t: t.model_access_denied,
    ModelQuotaExceeded: lambda t: t.model_quota_exceeded,
    ModelUnknown: lambda t: t.model_unknown,
    ModelAddressWrong: lambda t: t.model_address_wrong,
    ModelBusy: lambda t: t.model_busy,
    ModelUnreachable: lambda t: t.model_unreachable,
    ModelTimeout: lambda t: t.model_timeout,
    ModelContextExceeded: lambda t: t.model_context_exceeded,
    ModelReplyTooLong: lambda t: t.model_reply_too_long,
    ModelRequestRefused: lambda t: t.model_request_refused,
    ImagesUnsupported: lambda t: t.model_images_unsupported,
    ContentFiltered: lambda t: t.model_content_filtered,
    ModelEmpty: lambda t: t.model_empty,
    OutputTruncated: lambda t: t.model_output_truncated,
    ModelThoughtOnly: lambda t: t.model_thought_only,
    ModelThoughtCramped: lambda t: t.model_thought_filled_window,
    ModelCut: lambda t: t.model_cut,
    ModelStopped: lambda t: t.model_stopped,
    ModelEmptyBody: lambda t: t.model_empty_body,
}

"""The events of the log and their fields, which LOG_FORMAT=json writes beside the message."""

from collections.abc import Mapping
from typing import Final, Literal, TypedDict, Unpack

# docs/log.md says what each means, and which fields it has.
EventName = Literal[
    "address_changed",
    "answer_not_recorded",
    "answer_not_shown",
    "answers_finishing",
    "answers_left",
    "backfill_postponed",
    "budget_used",
    "command_failed",
    "commands_not_synced",
    "commands_synced",
    "connected",
    "connection_lost",
    "connection_postponed",
    "database_created",
    "database_found",
    "database_locked",
    "database_lost",
    "database_migrated",
    "database_unlocked",
    "edits_postponed",
    "event_skipped",
    "first_token",
    "forgotten_text_left",
    "identify_postponed",
    "intent_missing",
    "login_failed",
    "moderation_failed",
    "order_given",
    "person_refused",
    "process_cut_off",
    "prompt_built",
    "prompt_flagged",
    "question_ended",
    "question_failed",
    "question_flagged",
    "question_given_up",
    "question_not_stored",
    "question_postponed",
    "question_received",
    "question_refused",
    "question_retried",
    "questions_missed",
    "questions_resumed",
    "recovery_failed",
    "request_ended",
    "request_failed",
    "request_sent",
    "session_awaited",
    "settings_left",
    "settings_refused",
    "settings_reloaded",
    "shard_lost",
    "shard_taken",
    "shards_failed",
    "standby",
    "start_refused",
    "stopping",
    "window_learned",
]


# Written as strings, as Discord does: programs that read numbers as floats would round them.
IDS: Final = frozenset({"question", "place", "guild", "person"})


class Fields(TypedDict, total=False):
    """What an event may say, in ids, numbers and fixed words, never in what people wrote.

    Names that end in _s are seconds. A field that is None is not written.
    """

    question: int  # the id of the message or interaction that asked
    place: int  # where the answer appears
    guild: int | None
    person: int
    shard: int
    model: str | None
    outcome: str  # the state of a question, the class of an error, or why something is refused
    first_words_s: float | None
    whole_s: float
    wait_s: float
    prompt_tokens: int | None
    completion_tokens: int | None
    exchanges: int  # in the prompt
    count: int
    code: int  # with which Discord closed the connection


def as_event(name: EventName, **fields: Unpack[Fields]) -> Mapping[str, object]:
    """Return the `extra` of a log call that names its event."""
    return {"event": name, "fields": fields}

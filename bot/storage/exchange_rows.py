"""How an exchange is stored: its columns, and the conditions that several statements share."""

from collections.abc import Sequence
from typing import Any, Final

from bot.conversation.exchange import Conversation, Exchange, FromInteraction, FromMessage, scrubbed

_PLACE_COLUMNS: Final = ("channel_id", "parent_id", "guild_id", "private_to")
# Each column has the name of the field of Exchange that it stores.
_FIELDS: Final = (
    *("message_id", "place_id", "author_id", "author", "question", "embedded"),
    *("quoted", "quoted_id", "quoted_author_id", "files", "reply", "cut", "tokens"),
)
_ORIGIN_COLUMNS: Final = ("token", "locale", "pressed_id", "shard")
_COLUMNS: Final = (*_PLACE_COLUMNS, *_FIELDS, *_ORIGIN_COLUMNS)
# What is known of an exchange when its question is received; the rest has defaults.
_RECEIVED: Final = tuple(
    column for column in _COLUMNS if column not in {"reply", "cut", "tokens", "pressed_id"}
)
COLUMNS: Final = ", ".join(_COLUMNS)
MESSAGE_ID_AT: Final = _COLUMNS.index("message_id")
RECEIVED_COLUMNS: Final = ", ".join(_RECEIVED)
RECEIVED_PARAMETERS: Final = ", ".join(f":{column}" for column in _RECEIVED)

# The column "unshown" holds the notices that are still to be shown under a reply, as JSON, or this
# word in their place.
DELETION_PENDING: Final = "withdrawn"  # The parts of the reply are still to be deleted.
IS_NOT_WITHDRAWN: Final = f"coalesce(unshown, '') <> '{DELETION_PENDING}'"
IS_UNANSWERED: Final = "state IN ('received', 'answering')"
IS_OPEN: Final = f"({IS_UNANSWERED} OR unshown IS NOT NULL)"
IS_COMPLETE: Final = f"author_id <> 0 AND reply <> '' AND NOT {IS_UNANSWERED}"
# The shard that answers: see `Shard.owns`, and `FromInteraction` for the exception.
IS_OF_SHARD: Final = "coalesce(shard, (guild_id >> 22) % :total, 0) = :shard"
# A reset forgets what everybody sees; what one person alone sees is erased at once.
IS_NOT_RESET: Final = """(private_to <> 0 OR NOT EXISTS
    (SELECT 1 FROM resets WHERE before_id > exchanges.message_id
        AND resets.channel_id IN (exchanges.channel_id, exchanges.message_id)))"""
# A token becomes '' if the exchange came from an interaction, and stays NULL if it did not.
TOKEN_CLEARED: Final = "token = substr(token, 1, 0), locale = ''"


def parameters_of(exchange: Exchange) -> dict[str, object]:
    """Return the values of *exchange* by column, its texts without what SQLite cannot store."""
    conversation, origin = exchange.conversation, exchange.origin
    interaction = origin if isinstance(origin, FromInteraction) else None
    values = {column: getattr(exchange, column) for column in _FIELDS}
    for column in ("author", "question", "embedded", "quoted", "reply"):
        values[column] = scrubbed(values[column])
    return values | {
        "cut": int(exchange.cut),
        "channel_id": conversation.channel_id,
        "parent_id": conversation.parent_id,
        "guild_id": conversation.guild_id,
        "private_to": conversation.person_id,
        "token": interaction.token if interaction else None,
        "locale": interaction.locale if interaction else "",
        "pressed_id": interaction.pressed_id if interaction else None,
        "shard": interaction.shard if interaction else None,
    }


def exchange_of(row: Sequence[Any]) -> Exchange:
    """Return the exchange of a row with the columns COLUMNS."""
    fields_at, origin_at = len(_PLACE_COLUMNS), -len(_ORIGIN_COLUMNS)
    values = dict(zip(_FIELDS, row[fields_at:origin_at], strict=True))
    values["cut"] = bool(values["cut"])
    token, *others = row[origin_at:]
    origin = FromMessage() if token is None else FromInteraction(token, *others)
    return Exchange(conversation=Conversation(*row[:fields_at]), origin=origin, **values)

"""Settings that can change while the stand-in runs: delays, limits, the developer portal."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

from bot.sandbox.discord.installs import GUILD_INSTALL, USER_INSTALL

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Json


@dataclass(slots=True)
class Bucket:
    """So many requests in so many seconds."""

    limit: int
    window_seconds: float


def _default_buckets() -> dict[str, Bucket]:
    # Discord documents none of these limits; these are observed in its headers.
    return {
        "message_create": Bucket(5, 5.0),
        "message_edit": Bucket(5, 5.0),
        # Of messages older than an hour; an independent description of the API has these numbers.
        "old_message_edit": Bucket(3, 6.0),
        "message_delete": Bucket(5, 1.0),
        "message_list": Bucket(5, 5.0),
        "bulk_delete": Bucket(1, 1.0),
        "typing": Bucket(5, 5.0),
        "reaction": Bucket(1, 0.25),
        "thread_create": Bucket(50, 300.0),
        "channel_edit": Bucket(5, 15.0),
        "dm_open": Bucket(10, 10.0),
        "commands": Bucket(5, 20.0),
        "callback": Bucket(50, 1.0),
        "webhook": Bucket(5, 2.0),
        "read": Bucket(50, 1.0),
    }


@dataclass(slots=True)
class Portal:
    """The switches in the developer portal: intents, where the bot is installed, who owns it."""

    message_content: bool = True
    members: bool = False
    presences: bool = False
    guild_install: bool = True
    user_install: bool = True
    team: bool = False

    @property
    def installs(self) -> list[int]:
        """Return the installation contexts that the application supports."""
        switches = {GUILD_INSTALL: self.guild_install, USER_INSTALL: self.user_install}
        return [context for context, on in switches.items() if on]


@dataclass(slots=True)
class Knobs:
    """All settings with their defaults; the names include the units."""

    rest_latency_seconds: float = 0.0
    clock_ahead_seconds: float = 0.0  # of the Date in the responses
    event_delay_seconds: float = 0.0
    preview_delay_seconds: float = 0.3
    heartbeat_interval_seconds: float = 41.25
    session_lifetime_seconds: float = 180.0
    identify_interval_seconds: float = 5.0
    identify_limit: int = 1000
    max_concurrency: int = 1  # Discord: IDENTIFYs per interval, one for each rate limit key
    shards: int = 1  # the number that GET /gateway/bot recommends
    shard_multiple: int = 1  # Bots in more than 150,000 guilds may use only multiples of a number.
    guilds_per_shard: int = 2500
    # Discord does not document which shard gets the interactions from a guild without the bot. Here
    # it is this one, modulo the number of shards; below 0, the one that the guild's id belongs to.
    foreign_shard: int = 0
    interaction_deadline_seconds: float = 3.0
    interaction_lifetime_seconds: float = 900.0
    expired_token: str = "invalid_webhook_token"  # a refusal; bots report others, too
    old_message_seconds: float = 3600.0
    limits_old_webhook_edits: bool = True  # The documents do not say.
    nonce_window_seconds: float = 300.0
    max_active_threads: int = 1000
    global_limit: int = 50
    invalid_request_limit: int = 10_000
    compress: bool = True
    lean_channels: bool = False  # Interactions have only the channel fields that Discord promises.
    # Discord's documents do not say what becomes of a command for an install that the application
    # does not support, or of a text input in a row of a modal, which is deprecated.
    refuse_unsupported_installs: bool = True
    refuse_inputs_in_rows: bool = True
    # Discord's documents contradict each other about who opens an archived thread by PATCH: who may
    # send messages, or only its members; a locked one needs MANAGE_THREADS, or to have created it.
    only_members_open_threads: bool = False
    owners_open_locked_threads: bool = False
    ephemeral_answers: bool = False  # Every answer to an interaction is ephemeral.
    portal: Portal = field(default_factory=Portal)
    buckets: dict[str, Bucket] = field(default_factory=_default_buckets)

    def as_json(self) -> Json:
        """Return all settings."""
        return asdict(self)

    def turn(self, changes: Json) -> None:
        """Change the settings that *changes* names; raise ValueError for an unknown one."""
        known = {item.name for item in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"There is no setting {name!r}. There are: {sorted(known)}")
            if name == "portal":
                for switch, on in value.items():
                    setattr(self.portal, switch, bool(on))
            elif name == "buckets":
                for bucket, numbers in value.items():
                    self._turn_bucket(bucket, numbers)
            else:
                setattr(self, name, type(getattr(self, name))(value))

    def _turn_bucket(self, name: str, numbers: Json) -> None:
        if name not in self.buckets:
            raise ValueError(f"There is no bucket {name!r}. There are: {sorted(self.buckets)}")
        bucket = self.buckets[name]
        bucket.limit = int(numbers.get("limit", bucket.limit))
        bucket.window_seconds = float(numbers.get("window_seconds", bucket.window_seconds))

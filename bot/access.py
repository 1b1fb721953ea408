"""Who may use the bot, and where: the operator's lists, and the verdict on a person in a place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

Ids = frozenset[int]
NO_IDS: Final[Ids] = frozenset()


class Rule(Enum):
    """What decided a verdict. The value is a label of metrics."""

    EVERYBODY = "everybody"
    ADMIN = "admin"
    ALLOWED_USER = "allowed user"
    ALLOWED_ROLE = "allowed role"
    BLOCKED_GUILD = "blocked guild"
    BLOCKED_CHANNEL = "blocked channel"
    BLOCKED_USER = "blocked user"
    BLOCKED_ROLE = "blocked role"
    DIRECT_MESSAGES = "direct messages"
    OTHER_GUILD = "other guild"
    OTHER_CHANNEL = "other channel"
    OTHER_PERSON = "other person"
    UNKNOWN_CHANNEL = "unknown channel"
    UNKNOWN_ROLES = "unknown roles"


ALLOWING: Final = frozenset({Rule.EVERYBODY, Rule.ADMIN, Rule.ALLOWED_USER, Rule.ALLOWED_ROLE})
ABOUT_PLACES: Final = frozenset(
    {
        *(Rule.BLOCKED_GUILD, Rule.BLOCKED_CHANNEL, Rule.DIRECT_MESSAGES),
        *(Rule.OTHER_GUILD, Rule.OTHER_CHANNEL, Rule.UNKNOWN_CHANNEL),
    }
)
WORDS: Final = {
    Rule.EVERYBODY: "no list excludes anybody here",
    Rule.ADMIN: "ADMINS has person {id}",
    Rule.ALLOWED_USER: "ALLOWED_USERS has person {id}",
    Rule.ALLOWED_ROLE: "ALLOWED_ROLES has role {id}",
    Rule.BLOCKED_GUILD: "BLOCKED_GUILDS has server {id}",
    Rule.BLOCKED_CHANNEL: "BLOCKED_CHANNELS has {id}",
    Rule.BLOCKED_USER: "BLOCKED_USERS has person {id}",
    Rule.BLOCKED_ROLE: "BLOCKED_ROLES has role {id}",
    Rule.DIRECT_MESSAGES: "ALLOW_DMS is false",
    Rule.OTHER_GUILD: "ALLOWED_GUILDS lacks server {id}",
    Rule.OTHER_CHANNEL: "ALLOWED_CHANNELS lacks channel {id} and its parents",
    Rule.OTHER_PERSON: "ALLOWED_USERS and ALLOWED_ROLES lack person {id} and their roles",
    Rule.UNKNOWN_CHANNEL: "the channel or category that {id} belongs to is not known",
    Rule.UNKNOWN_ROLES: "the roles of person {id} are not known",
}


class Verdict(NamedTuple):
    """Whether a person may use the bot in a place: the rule that decided, and the id it met."""

    rule: Rule
    id: int | None = None

    @property
    def allowed(self) -> bool:
        """Whether the person may use the bot."""
        return self.rule in ALLOWING

    @property
    def about_place(self) -> bool:
        """Whether everybody is refused in this place, not this person in particular."""
        return self.rule in ABOUT_PLACES

    def __str__(self) -> str:
        return WORDS[self.rule].format(id=self.id)


class Place(NamedTuple):
    """Where somebody asks. Without a guild these are direct messages.

    *channel_ids* are the ids of the thread, its channel and its category, as far as they exist.
    *complete* is False if some of them are not known.
    """

    guild_id: int | None
    channel_ids: tuple[int, ...]
    complete: bool = True

    def __str__(self) -> str:
        where = "direct messages" if self.guild_id is None else f"server {self.guild_id}"
        return f"channel {self.channel_ids[0]} of {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLists:
    """The operator's lists. An empty allow list allows everything.

    A block wins over everything else. Otherwise *admins* may use the bot everywhere, and others if
    both the place and the person are allowed. *allowed_users* and *allowed_roles* together say who
    is: one match is enough. Direct messages have no roles, so *allowed_roles* alone closes them.
    """

    allowed_guilds: Ids = NO_IDS
    blocked_guilds: Ids = NO_IDS
    allowed_channels: Ids = NO_IDS
    blocked_channels: Ids = NO_IDS
    allowed_roles: Ids = NO_IDS
    blocked_roles: Ids = NO_IDS
    allowed_users: Ids = NO_IDS
    blocked_users: Ids = NO_IDS
    admins: Ids = NO_IDS
    direct_messages: bool = True

    def verdict(self, place: Place, person_id: int, role_ids: Ids | None) -> Verdict:
        """Judge a person in a place; *role_ids* is None if their roles are not known.

        If roles or channels are not known, and a list could refuse because of them, it refuses.
        """
        roles = _roles(place, role_ids)
        block = self._block(place, person_id, roles)
        if block is not None:
            return block
        if person_id in self.admins:
            return Verdict(Rule.ADMIN, person_id)
        return self._place_refusal(place) or self._of_person(person_id, roles)

    @property
    def restrict(self) -> bool:
        """Whether anybody or any place is excluded."""
        return self != AccessLists(admins=self.admins)

    def serves_guild(self, guild_id: int | None) -> bool:
        """Whether anybody may use the bot in a guild, or in direct messages if it is None."""
        if guild_id in self.blocked_guilds:
            return False
        return bool(self.admins) or self._guild_refusal(guild_id) is None

    def overridden(self, *, users: Mapping[int, bool], guilds: Mapping[int, bool]) -> "AccessLists":
        """Return the lists with these *users* and *guilds* blocked (True) or unblocked (False)."""
        return replace(
            self,
            blocked_users=_overridden(self.blocked_users, users),
            blocked_guilds=_overridden(self.blocked_guilds, guilds),
        )

    def _block(self, place: Place, person_id: int, roles: Ids | None) -> Verdict | None:
        if place.guild_id in self.blocked_guilds:
            return Verdict(Rule.BLOCKED_GUILD, place.guild_id)
        if person_id in self.blocked_users:
            return Verdict(Rule.BLOCKED_USER, person_id)
        channels = self.blocked_channels.intersection(place.channel_ids)
        if channels:
            return Verdict(Rule.BLOCKED_CHANNEL, min(channels))
        if roles is not None and self.blocked_roles & roles:
            return Verdict(Rule.BLOCKED_ROLE, min(self.blocked_roles & roles))
        if self.blocked_channels and not place.complete:
            return Verdict(Rule.UNKNOWN_CHANNEL, place.channel_ids[-1])
        if self.blocked_roles and roles is None:
            return Verdict(Rule.UNKNOWN_ROLES, person_id)
        return None

    def _guild_refusal(self, guild_id: int | None) -> Verdict | None:
        if guild_id is None:
            return None if self.direct_messages else Verdict(Rule.DIRECT_MESSAGES)
        if self.allowed_guilds and guild_id not in self.allowed_guilds:
            return Verdict(Rule.OTHER_GUILD, guild_id)
        return None

    def _place_refusal(self, place: Place) -> Verdict | None:
        refusal = self._guild_refusal(place.guild_id)
        if refusal is not None or place.guild_id is None or not self.allowed_channels:
            return refusal
        if self.allowed_channels.intersection(place.channel_ids):
            return None
        if not place.complete:
            return Verdict(Rule.UNKNOWN_CHANNEL, place.channel_ids[-1])
        return Verdict(Rule.OTHER_CHANNEL, place.channel_ids[0])

    def _of_person(self, person_id: int, roles: Ids | None) -> Verdict:
        if not self.allowed_users and not self.allowed_roles:
            return Verdict(Rule.EVERYBODY)
        if person_id in self.allowed_users:
            return Verdict(Rule.ALLOWED_USER, person_id)
        if roles is None and self.allowed_roles:
            return Verdict(Rule.UNKNOWN_ROLES, person_id)
        having = self.allowed_roles & (roles or NO_IDS)
        if having:
            return Verdict(Rule.ALLOWED_ROLE, min(having))
        return Verdict(Rule.OTHER_PERSON, person_id)


def _roles(place: Place, role_ids: Ids | None) -> Ids | None:
    """Return the roles of a person in *place*. Discord: @everyone has the id of its guild."""
    if place.guild_id is None:
        return NO_IDS
    return None if role_ids is None else role_ids | {place.guild_id}


def _overridden(blocked: Ids, changes: Mapping[int, bool]) -> Ids:
    return (blocked - changes.keys()) | {one for one, is_blocked in changes.items() if is_blocked}

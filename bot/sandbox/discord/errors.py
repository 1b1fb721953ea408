"""Discord's refusals: status, code, sentence, the tree of a form's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Json


class DiscordError(Exception):
    """A refusal in Discord's own form."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        errors: Json | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.retry_after = retry_after

    def payload(self) -> Json:
        """Return the JSON body of the refusal."""
        body: Json = {"message": self.message, "code": self.code}
        if self.errors is not None:
            body["errors"] = self.errors
        if self.retry_after is not None:
            body |= {"retry_after": round(self.retry_after, 3), "global": False}
        return body


class NotModelledError(Exception):
    """The bot used *fields* of a request that the stand-in lacks.

    The answer has status 501, which Discord does not use. The record of requests names the fields.
    """

    def __init__(self, *fields: str) -> None:
        super().__init__(f"The stand-in for Discord does not model: {', '.join(fields)}")
        self.fields = fields

    def payload(self) -> Json:
        """Return the JSON body of the answer."""
        return {"message": str(self), "code": 0}


_TABLE: Final[dict[str, tuple[int, int, str]]] = {
    "unauthorized": (401, 0, "401: Unauthorized"),
    "not_found": (404, 0, "404: Not Found"),
    "unknown_application": (404, 10002, "Unknown Application"),
    "unknown_channel": (404, 10003, "Unknown Channel"),
    "unknown_guild": (404, 10004, "Unknown Guild"),
    "unknown_member": (404, 10007, "Unknown Member"),
    "unknown_message": (404, 10008, "Unknown Message"),
    "unknown_user": (404, 10013, "Unknown User"),
    "unknown_webhook": (404, 10015, "Unknown Webhook"),
    "unknown_interaction": (404, 10062, "Unknown interaction"),
    "unknown_command": (404, 10063, "Unknown application command"),
    "too_many_reactions": (400, 30010, "Maximum number of reactions reached (20)"),
    "too_many_commands": (400, 30032, "Maximum number of application commands reached"),
    "too_large": (413, 40005, "Request entity too large"),
    "already_acknowledged": (400, 40060, "Interaction has already been acknowledged."),
    "too_many_follow_ups": (
        400,
        40094,
        "This interaction has reached the maximum number of follow-up messages",
    ),
    "missing_access": (403, 50001, "Missing Access"),
    "entry_point_removed": (
        400,
        50240,
        "You cannot remove this app's Entry Point command in a bulk update operation.",
    ),
    "dm_channel": (403, 50003, "Cannot execute action on a DM channel"),
    "not_the_author": (403, 50005, "Cannot edit a message authored by another user"),
    "empty_message": (400, 50006, "Cannot send an empty message"),
    "cannot_dm": (403, 50007, "Cannot send messages to this user"),
    "non_text_channel": (400, 50008, "Cannot send messages in a non-text channel"),
    "missing_permissions": (403, 50013, "Missing Permissions"),
    "bulk_count": (
        400,
        50016,
        (
            "Provided too few or too many messages to delete. "
            "Must provide at least 2 and fewer than 100 messages to delete"
        ),
    ),
    "system_message": (403, 50021, "Cannot execute action on a system message"),
    "wrong_channel_type": (400, 50024, "Cannot execute action on this channel type"),
    "invalid_webhook_token": (401, 50027, "Invalid Webhook Token"),
    "too_old": (
        400,
        50034,
        "A message provided was too old to bulk delete",
    ),
    "thread_archived": (403, 50083, "Thread is archived"),
    "invalid_json": (400, 50109, "The request body contains invalid JSON."),
    "no_history": (
        400,
        160002,
        "Cannot reply without permission to read message history",
    ),
    "thread_exists": (400, 160004, "A thread has already been created for this message"),
    "thread_locked": (403, 160005, "Thread is locked"),
    "too_many_threads": (400, 160006, "Maximum number of active threads reached"),
}


def refused(name: str) -> DiscordError:
    """Return the refusal that this project calls *name*."""
    return DiscordError(*_TABLE[name])


class FormErrors:
    """Collects the errors of a form in a tree of the same shape."""

    def __init__(self) -> None:
        self._tree: Json = {}

    def add(self, path: tuple[str | int, ...], code: str, message: str) -> None:
        """Note one error at *path*; an empty path means the form as a whole."""
        node = self._tree
        for key in path:
            node = node.setdefault(str(key), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def refusal(self) -> DiscordError:
        """Return 50035 with the whole tree."""
        return DiscordError(400, 50035, "Invalid Form Body", errors=self._tree)

    def raise_if_any(self) -> None:
        """Raise the refusal if anything is wrong."""
        if self._tree:
            raise self.refusal()


def invalid_form(path: tuple[str | int, ...], code: str, message: str) -> DiscordError:
    """Return 50035 with one error at *path*."""
    form = FormErrors()
    form.add(path, code, message)
    return form.refusal()

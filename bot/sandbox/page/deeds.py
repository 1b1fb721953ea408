"""The actions of people on the page, each one call to the stand-in."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from bot.sandbox.driver import Driver
from bot.sandbox.page.world import World

Json = dict[str, Any]
Deed = Callable[[Json], Awaitable[Any]]

FILE_LIMIT: Final = 10 * 2**20  # Discord: bytes of one file


class NotAllowed(Exception):
    """A person may not do this; the text is the reason."""


class Deeds:
    """The people's actions by name; each takes the JSON object that the browser sent.

    In it `person` and `channel` are ids. Raises NotAllowed, ControlError if Discord's client
    refuses the action, KeyError and TypeError for an invalid object.
    """

    def __init__(self, driver: Driver, world: World) -> None:
        self._driver = driver
        self._world = world
        self.by_name: dict[str, Deed] = {
            "say": self._send,
            "edit": self._edit,
            "delete": self._delete,
            "type": self._type,
            "dm": self._dm,
            "post": self._post,
            "commands": self._commands,
            "command": self._command,
            "complete": self._complete,
            "submit": self._submit,
            "press": self._press,
        }

    async def _send(self, what: Json) -> Json:
        files = what.get("files") or []
        if not str(what["text"]).strip() and not files:
            raise NotAllowed("There is nothing to send.")
        message = await self._driver.say(
            what["channel"],
            what["person"],
            self._world.as_sent(what["text"]),
            reply_to=what.get("reply_to"),
            attachments=[
                {
                    "filename": str(one["name"]),
                    "content_type": one.get("type") or None,
                    "content_base64": one["base64"],
                }
                for one in files
            ],
        )
        return {"id": message["id"]}

    async def _edit(self, what: Json) -> None:
        if self._author_of(what) != what["person"]:
            raise NotAllowed("People edit their own messages only.")
        text = self._world.as_sent(what["text"])
        await self._driver.edit(what["channel"], what["message"], text)

    async def _delete(self, what: Json) -> None:
        own = self._author_of(what) == what["person"]
        if not own and not self._world.is_admin(what["person"]):
            raise NotAllowed("Only an admin deletes what others wrote.")
        await self._driver.delete(what["channel"], what["message"])

    def _author_of(self, what: Json) -> str:
        message = self._world.message(what["channel"], what["message"])
        if message is None:
            raise NotAllowed("The message was deleted.")
        return str(message["author_id"])

    async def _type(self, what: Json) -> None:
        await self._driver.type_in(what["channel"], what["person"])

    async def _dm(self, what: Json) -> Json:
        return {"channel": await self._driver.dm(what["person"])}

    async def _post(self, what: Json) -> Json:
        if not str(what["name"]).strip() or not str(what["text"]).strip():
            raise NotAllowed("A post needs a title and a text.")
        text = self._world.as_sent(what["text"])
        post = await self._driver.start_thread(
            what["channel"], what["person"], what["name"], content=text
        )
        return {"channel": post["id"]}

    async def _commands(self, what: Json) -> list[Json]:
        return await self._driver.commands(what["channel"], what["person"])

    async def _command(self, what: Json) -> Json:
        interaction = await self._driver.command(
            what["channel"],
            what["person"],
            what["name"],
            what.get("options") or {},
            target=what.get("target"),
        )
        return {"interaction": interaction}

    async def _complete(self, what: Json) -> Json:
        interaction = await self._driver.autocomplete(
            what["channel"], what["person"], what["name"], what["option"], what["value"]
        )
        return {"interaction": interaction}

    async def _submit(self, what: Json) -> Json:
        interaction = await self._driver.submit_modal(what["interaction"], what["fields"])
        return {"interaction": interaction}

    async def _press(self, what: Json) -> Json:
        interaction = await self._driver.press(
            what["channel"],
            what["person"],
            what["message"],
            what["custom_id"],
            values=what.get("values"),
        )
        return {"interaction": interaction}

"""Faults that the page can inject, by switches that stay on and by buttons that act once."""

from typing import Any, Final

from bot.sandbox.driver import Driver
from bot.sandbox.model_driver import ModelDriver
from bot.sandbox.page.deeds import NotAllowed

Json = dict[str, Any]

_MESSAGES: Final = r"/messages(/\d+)?$"
_WAIT_SECONDS: Final = 2.0
_AWAY_SECONDS: Final = 4.0
_DISCORD: Final = {
    "discord_500": ("Discord answers 500", "to each message"),
    "rate_limit": ("Discord's rate limit", "each message waits 2 s"),
}
_MODEL: Final = {
    "rate_limit": ("The model answers 429", "it is too busy"),
    "stall": ("The model stalls", "in mid-sentence"),
    "cut": ("The model is cut off", "in mid-sentence"),
}


class Switches:
    """The faults that are on. Faults of the model need the stand-in; else *model* is None."""

    def __init__(self, driver: Driver, model: ModelDriver | None) -> None:
        self._driver = driver
        self._model = model
        self._discord: set[str] = set()
        self._trouble = ""

    def as_json(self) -> list[Json]:
        """Return all switches, and whether each is on."""
        found = [
            {"id": name, "label": label, "about": about, "on": name in self._discord}
            for name, (label, about) in _DISCORD.items()
        ]
        if self._model is not None:
            found += [
                {
                    "id": f"model_{name}",
                    "label": label,
                    "about": about,
                    "on": name == self._trouble,
                }
                for name, (label, about) in _MODEL.items()
            ]
        return found

    async def turn(self, what: Json) -> None:
        """Turn the switch `id` on or off."""
        name, on = str(what["id"]), bool(what["on"])
        trouble = name.removeprefix("model_")
        if name in _DISCORD:
            self._discord = self._discord | {name} if on else self._discord - {name}
            await self._break_discord()
        elif self._model is not None and trouble in _MODEL and trouble != name:
            self._trouble = trouble if on else ""
            await self._model.change(trouble=self._trouble)
        else:
            raise NotAllowed("There is no such switch here.")

    async def drop(self, _request: Json) -> None:
        """Close the gateway and accept no new connection for some seconds; the session stays."""
        await self._driver.gateway("refuse", seconds=_AWAY_SECONDS)
        await self._driver.gateway("abort")

    async def _break_discord(self) -> None:
        await self._driver.clear_faults()
        on: Json = {"method": "POST|PATCH", "path": _MESSAGES, "count": None}
        if "discord_500" in self._discord:
            await self._driver.fault("answer", status=500, **on)
        if "rate_limit" in self._discord:
            await self._driver.fault("rate_limit", retry_after=_WAIT_SECONDS, **on)

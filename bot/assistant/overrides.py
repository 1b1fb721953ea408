"""Which system prompt and which model hold in a place, by who chose what there."""

from collections.abc import Collection
from dataclasses import dataclass

from bot.conversation.exchange import Conversation
from bot.storage.preferences import Override, Preferences


@dataclass(frozen=True, slots=True)
class Effective:
    """What holds in a place; *choice* is the one that makes it this model, if anybody's does."""

    system_prompt: str
    model: str
    choice: Override | None


class Overrides:
    """Knows the operator's defaults, and from which *models* may be chosen: none means any."""

    def __init__(
        self, preferences: Preferences, *, system_prompt: str, model: str, models: Collection[str]
    ) -> None:
        self._preferences = preferences
        self._system_prompt = system_prompt
        self._model = model
        self._choosable = models

    async def at(self, place: Conversation) -> Effective:
        """Return what holds in *place*; raises HistoryFailed.

        Of the choices of a model the nearest counts that may still be made: the operator may take
        models back.
        """
        choices = await self._preferences.overrides(place)
        prompts = choices.system_prompts
        system_prompt = prompts[0].value if prompts else self._system_prompt
        for choice in choices.models:
            if not self._choosable or choice.value in self._choosable:
                return Effective(system_prompt, choice.value, choice)
        return Effective(system_prompt, self._model, None)

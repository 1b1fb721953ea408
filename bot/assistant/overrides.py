"""The system prompt and the model of a place: the operator's, or what was set there."""

from dataclasses import dataclass
from typing import Final

from bot.assistant.accounting import Accounting
from bot.conversation.exchange import Conversation
from bot.conversation.prompt import PromptConfig
from bot.conversation.token_estimate import estimate_tokens
from bot.errors import SystemPromptTooLong
from bot.live import Live
from bot.llm.model_catalog import ModelCatalog
from bot.storage.preferences import Override, Preferences, Scope, scope_id_in

SYSTEM_PROMPT_CHARACTERS: Final = 4000  # Discord: a modal's text input holds no more
SYSTEM_PROMPT_SHARE: Final = 2  # of the token budget: the rest is for the conversation


@dataclass(frozen=True, slots=True)
class Effective:
    """What applies in a place, and what sets it: None for the default."""

    system_prompt: str
    prompt_override: Override | None
    model: str
    model_override: Override | None


class Overrides:
    """Knows the defaults, and what was set in each place. Every method raises HistoryFailed."""

    def __init__(
        self,
        preferences: Preferences,
        accounting: Accounting,
        config: Live[PromptConfig],
        catalog: ModelCatalog,
    ) -> None:
        self._preferences = preferences
        self._accounting = accounting
        self._config = config
        self._catalog = catalog

    async def at(self, place: Conversation) -> Effective:
        """Return what applies in *place*.

        The nearest model that is still allowed counts: the operator may remove models.
        """
        overrides = await self._preferences.overrides(place)
        offered = self._catalog.given
        allowed = (one for one in overrides.models if not offered or one.value in offered)
        prompt, model = next(iter(overrides.system_prompts), None), next(allowed, None)
        return Effective(
            prompt.value if prompt else self._config.value.system_prompt,
            prompt,
            model.value if model else self._catalog.default,
            model,
        )

    async def system_prompts(self, scope: Scope, place: Conversation) -> tuple[str, str]:
        """Return the prompt set for exactly this channel or guild, "" if none; and its default."""
        found = (await self._preferences.overrides(place)).system_prompts
        own, inherited = "", self._config.value.system_prompt
        for override in reversed(found):  # the nearest last
            if override[:2] == (scope, scope_id_in(place, scope)):
                own = override.value
            elif scope == "channel":
                inherited = override.value
        return own, inherited

    async def set_model(self, scope: Scope, place: Conversation, model: str) -> None:
        """Set the model of *place*, or of its guild; "" removes it."""
        await self._preferences.set_model(scope, place, model)

    async def set_system_prompt(self, scope: Scope, place: Conversation, prompt: str) -> None:
        """Set the system prompt of *place*, or of its guild; "" removes it.

        Raises SystemPromptTooLong.
        """
        prompt = prompt.strip()
        calibration = await self._accounting.calibration((await self.at(place)).model)
        tokens = calibration.apply(estimate_tokens(prompt))
        limit = self._config.value.token_budget // SYSTEM_PROMPT_SHARE
        if len(prompt) > SYSTEM_PROMPT_CHARACTERS or tokens > limit:
            raise SystemPromptTooLong(len(prompt), SYSTEM_PROMPT_CHARACTERS, tokens, limit)
        await self._preferences.set_system_prompt(scope, place, prompt)

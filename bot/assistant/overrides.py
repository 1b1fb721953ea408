"""The system prompt and the model of a place: the operator's, or what was set there."""

from dataclasses import dataclass
from typing import Final

from bot.assistant.accounting import Accounting
from bot.conversation.exchange import Conversation
from bot.conversation.prompt import PromptConfig
from bot.conversation.token_estimate import estimate_tokens
from bot.errors import SystemPromptTooLong
from bot.storage.preferences import Override, Preferences, Scope

SYSTEM_PROMPT_CHARACTERS: Final = 4000  # Discord: a modal's text input holds no more
SYSTEM_PROMPT_SHARE: Final = 2  # of the token budget: the rest is for the conversation


@dataclass(frozen=True, slots=True)
class Effective:
    """What applies in a place; *override* is the one that sets the model, None for the default."""

    system_prompt: str
    model: str
    override: Override | None


class Overrides:
    """Knows the defaults, and what was set in each place.

    Every method raises HistoryFailed.
    """

    def __init__(
        self,
        preferences: Preferences,
        accounting: Accounting,
        config: PromptConfig,
        default_model: str,
    ) -> None:
        self._preferences = preferences
        self._accounting = accounting
        self._system_prompt = config.system_prompt
        self._model = default_model
        self._allowed = config.models
        self._token_limit = config.token_budget // SYSTEM_PROMPT_SHARE

    async def at(self, place: Conversation) -> Effective:
        """Return what applies in *place*.

        The nearest model that is still allowed counts: the operator may remove models.
        """
        overrides = await self._preferences.overrides(place)
        prompts = overrides.system_prompts
        system_prompt = prompts[0].value if prompts else self._system_prompt
        for override in overrides.models:
            if not self._allowed or override.value in self._allowed:
                return Effective(system_prompt, override.value, override)
        return Effective(system_prompt, self._model, None)

    async def set_model(self, scope: Scope, place: Conversation, model: str) -> None:
        """Set the model of *place*, or of its guild; "" removes it."""
        await self._preferences.set_model(scope, place, model)

    async def set_system_prompt(self, scope: Scope, place: Conversation, prompt: str) -> None:
        """Set the system prompt of *place*, or of its guild; "" removes it.

        Raises SystemPromptTooLong.
        """
        prompt = prompt.strip()
        calibration = await self._accounting.calibration((await self.at(place)).model)
        tokens, limit = calibration.apply(estimate_tokens(prompt)), self._token_limit
        if len(prompt) > SYSTEM_PROMPT_CHARACTERS or tokens > limit:
            raise SystemPromptTooLong(len(prompt), SYSTEM_PROMPT_CHARACTERS, tokens, limit)
        await self._preferences.set_system_prompt(scope, place, prompt)

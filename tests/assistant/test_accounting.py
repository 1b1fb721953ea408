"""What prompts cost a model, in the tokens that the estimate counts."""

import pytest

from bot.assistant.accounting import IMAGE_TOKENS, IMAGES, Accounting
from bot.conversation.calibration import Calibration
from bot.storage.exchanges import History
from tests.doubles import no_budgets


@pytest.mark.parametrize(
    ("text", "images", "cost"),
    [(1.0, 1.0, IMAGE_TOKENS), (2.0, 1.0, round(IMAGE_TOKENS / 2)), (1.0, 2.0, IMAGE_TOKENS * 2)],
)
async def test_the_cost_of_pictures_is_in_estimated_tokens(
    history: History, text: float, images: float, cost: int
) -> None:
    await history.models.set_calibration("a", Calibration(text))
    await history.models.set_calibration(f"a {IMAGES}", Calibration(images))
    accounting = Accounting(history, no_budgets(history), adds_to_prompts=lambda _model: False)
    assert await accounting.image_tokens("a") == cost
    assert await accounting.image_tokens("b") == IMAGE_TOKENS

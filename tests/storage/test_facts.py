"""Small values by name, and the calibration of models."""

from bot.conversation.calibration import Calibration
from bot.storage.exchanges import History


async def test_each_model_has_its_calibration(history: History) -> None:
    assert await history.models.calibration("m") == Calibration()
    await history.models.set_calibration("m", Calibration(1.5, 10.0, 1))
    await history.models.set_calibration("m", Calibration(1.75, 20.0, 2))
    assert await history.models.calibration("m") == Calibration(1.75, 20.0, 2)
    assert await history.models.calibration("other") == Calibration()


async def test_a_fact_has_the_value_that_was_set_last(history: History) -> None:
    assert await history.facts.get("a") is None
    await history.facts.set("a", "1")
    await history.facts.set("a", "2")
    assert await history.facts.get("a") == "2"

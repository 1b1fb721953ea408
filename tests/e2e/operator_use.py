"""Use /operator as a person of the stage."""

from typing import Any

from tests.e2e.conftest import Stage

# Mina owns the application, and is an administrator of the server; Jun is neither.
OWNER, OTHER = "Mina", "Jun"


def user_id(stage: Stage, name: str) -> str:
    return str(stage.discord.world["users"][name])


async def operator(
    stage: Stage, words: str, *, by: str = OWNER, force: bool = False, **options: Any
) -> str:
    """Use a subcommand; return the answer, which nobody else sees."""
    answer = await stage.use(
        await stage.channel(), f"operator {words}", by=by, force=force, **options
    )
    assert answer["ephemeral"]
    return str(answer["content"])


async def set_budget(stage: Stage, scope: str, period: str, **how: Any) -> str:
    """Set a budget, and return the answer."""
    options: dict[str, Any] = {"for": scope, "period": period, **how}
    return await operator(stage, "budget", **options)

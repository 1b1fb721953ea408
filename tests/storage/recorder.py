"""What the stores ask of their database."""

import sys

from bot.storage.database import Database, Row


class Recorder:
    """Passes units of work on to a database, and remembers their statements and their callers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.statements: list[str] = []
        self.callers: set[tuple[str, int]] = set()

    @property
    def is_failing(self) -> bool:
        return self._database.is_failing

    def stop_waiting(self) -> None:
        self._database.stop_waiting()

    async def fetch(self, sql: str, *parameters: object, **named: object) -> list[Row]:
        self._note(sql)
        return await self._database.fetch(sql, *parameters, **named)

    async def change(self, sql: str, *parameters: object, **named: object) -> int:
        self._note(sql)
        return await self._database.change(sql, *parameters, **named)

    async def change_all(self, *statements: str, **named: object) -> list[int]:
        self._note(*statements)
        return await self._database.change_all(*statements, **named)

    async def truncate_log(self) -> bool:
        return await self._database.truncate_log()

    async def rewrite(self) -> None:
        await self._database.rewrite()

    async def size_bytes(self) -> int:
        return await self._database.size_bytes()

    def _note(self, *statements: str) -> None:
        self.statements += statements
        caller = sys._getframe(2)
        self.callers.add((caller.f_code.co_filename, caller.f_lineno))

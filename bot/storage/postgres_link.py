"""Keep one session with PostgreSQL open: wait for the first, and open the next if it is lost."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bot.backoff import Backoff, jittered
from bot.errors import HistoryFailed, HistoryUnusable
from bot.log_events import as_event
from bot.storage.location import PostgresLocation
from bot.storage.postgres_errors import FAILURES, reason, refusal, unreachable
from bot.storage.postgres_session import Admit, Notified, Session

log = logging.getLogger(__name__)

OUTAGE_SECONDS: Final = 60.0  # Units of work wait so long for a lost database, all together.
RECONNECT_BACKOFF: Final = Backoff(0.1, 2.0)

Refused = Callable[[HistoryUnusable], None]


class Link:
    """The session, and the waits for it.

    *admit* checks each new session before it is used. While the bot runs, *refused* is called if it
    raises HistoryUnusable: the bot cannot go on.
    """

    def __init__(self, location: PostgresLocation, admit: Admit, refused: Refused) -> None:
        self._location = location
        self._admit = admit
        self._refused = refused
        self._session: Session | None = None
        self._ready = asyncio.Event()
        self._lost_at: float | None = None
        self._why = ""
        self._opened = 0
        self._listeners: dict[str, Notified] = {}
        self._keeper: asyncio.Task[None] | None = None
        self.may_wait = True

    @property
    def session(self) -> Session | None:
        """The session, None while there is none that can be used."""
        session = self._session
        return session if session is not None and session.is_usable else None

    async def start(self) -> None:
        """Open the first session; raises HistoryUnusable."""
        deadline = time.monotonic() + OUTAGE_SECONDS
        failures = 0
        while self._session is None:
            why = await self._try_open()
            if why is not None:
                failures += 1
                pause = jittered(RECONNECT_BACKOFF.seconds(failures))
                if time.monotonic() + pause > deadline:
                    raise unreachable(why, self._location, OUTAGE_SECONDS)
                if failures == 1:
                    self._log_waiting(why)
                await asyncio.sleep(pause)
        self._keeper = asyncio.create_task(self._keep())

    async def usable(self) -> Session:
        """Return the session, waited for if it is lost; raises HistoryFailed."""
        while (session := self.session) is None:
            self._note_lost("the connection was closed")
            left = OUTAGE_SECONDS - self._lost_seconds()
            if left <= 0 or not self.may_wait:
                raise HistoryFailed(f"the database cannot be reached: {self._why}")
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._ready.wait()
        return session

    def lose(self, session: Session, why: str) -> None:
        """Give a session up, because it failed."""
        session.terminate()
        if session is self._session:
            self._note_lost(why)

    def stop_waiting(self) -> None:
        """Do not wait for a session from now on."""
        self.may_wait = False
        self._ready.set()

    async def listen(self, channel: str, notified: Notified) -> None:
        """Call *notified* with each text sent to *channel*, in this session and later ones."""
        self._listeners[channel] = notified
        if (session := self.session) is not None:
            await session.listen(channel, notified)

    async def close(self) -> None:
        """Close the session and open no other; later callers do not wait for one."""
        self.stop_waiting()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        if self._session is not None:
            with suppress(*FAILURES):
                await self._session.close()

    async def _keep(self) -> None:
        while True:
            assert self._session is not None
            await self._session.lost.wait()
            self._note_lost("the connection was closed")
            failures = 0
            while self.session is None:
                try:
                    why = await self._try_open()
                except HistoryUnusable as error:
                    self._why = str(error)
                    self._refused(error)
                    return
                if why is not None:
                    self._why = why
                    failures += 1
                    await asyncio.sleep(jittered(RECONNECT_BACKOFF.seconds(failures)))

    async def _try_open(self) -> str | None:
        """Open a session and use it from now on; return why not. Raises HistoryUnusable."""
        session = None
        try:
            session = await Session.open(self._location, self._opened + 1)
            await self._admit(session)
            for channel, notified in self._listeners.items():
                await session.listen(channel, notified)
        except FAILURES as error:
            if session is not None:
                session.terminate()
            if self._session is None and (refused := refusal(error, self._location)):
                raise refused from error
            return reason(error)
        except BaseException:
            if session is not None:
                session.terminate()
            raise
        self._session = session
        self._opened += 1
        self._note_found()
        return None

    def _lost_seconds(self) -> float:
        return 0.0 if self._lost_at is None else time.monotonic() - self._lost_at

    def _note_lost(self, why: str) -> None:
        if self._lost_at is None:
            self._lost_at, self._why = time.monotonic(), why
            self._ready.clear()
            self._log_waiting(why)

    def _log_waiting(self, why: str) -> None:
        log.warning(
            "Wait for the database: no connection to %s (%s)",
            *(self._location.server, why),
            extra=as_event("database_lost"),
        )

    def _note_found(self) -> None:
        if self._lost_at is not None:
            log.info(
                "Resume writing to the database: %s is connected again",
                self._location.server,
                extra=as_event("database_found", wait_s=self._lost_seconds()),
            )
        self._lost_at = None
        self._ready.set()

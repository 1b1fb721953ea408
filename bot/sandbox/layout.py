"""The layout of the sandbox: its processes of the bot, their shards, and their database."""

from typing import Final, NamedTuple

MOST_PROCESSES: Final = 8
MOST_SHARDS: Final = 16
# The sandbox has a server called Sandbox. These are on the shards that it is not on.
SERVERS: Final = (
    *("Harbour", "Lighthouse", "Orchard", "Observatory", "Bakery", "Library", "Workshop"),
    *("Meadow", "Market", "Island", "Station", "Garden", "Theatre", "Quarry", "Vineyard"),
)


class LayoutRefused(Exception):
    """The options of the sandbox contradict each other; the message is for the user."""


class Layout(NamedTuple):
    """What the sandbox runs; the default is the bot as most people run it."""

    processes: int = 1
    shards: int = 1
    postgres: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether there is one process with one shard, so that the page shows neither."""
        return self.processes == self.shards == 1

    @property
    def process_names(self) -> tuple[str, ...]:
        """The names of the processes: numbers from 1."""
        return tuple(str(number + 1) for number in range(self.processes))

    def shard_of(self, guild_id: int) -> int:
        """Return the shard of a server. Discord: (guild_id >> 22) % num_shards."""
        return (guild_id >> 22) % self.shards

    def settings(self) -> dict[str, str]:
        """Return what the bot has to know of it."""
        if self.is_plain:
            return {}
        # A process that is asked to stop finishes short answers; another one continues the rest.
        return {"SHARDS": str(self.shards), "SHUTDOWN_GRACE": "5"}

    def limits(self) -> dict[str, int]:
        """Return the settings of the stand-in Discord: what Discord allows a large bot."""
        return {} if self.is_plain else {"shards": self.shards, "max_concurrency": MOST_SHARDS}


PLAIN: Final = Layout()


def checked(layout: Layout, *, in_terminal: bool) -> Layout:
    """Return *layout*; raises LayoutRefused if it makes no sense."""
    if layout.processes > 1 and not layout.postgres:
        raise LayoutRefused(
            "Several processes need a database that they can share: add --postgres. A SQLite "
            "file belongs to one process."
        )
    if in_terminal and not layout.is_plain:
        raise LayoutRefused(
            "The page shows processes and shards, the terminal does not: leave out --terminal, or "
            "leave out --processes and --shards."
        )
    return layout

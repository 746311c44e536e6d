"""The devices that jobs can be run on, as far as claims ask for them: their ids, and what is free and which
weights are there.

Owns these statements. What a device is, and who works on it, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable

from i2v.jobs.database import Database

UNKNOWN = "*"  # in the place of engines: nobody has looked yet whose weights are there


class Devices:
    """The part of a `JobStore` that knows devices by their ids; threads share it.

    Commits do not wait for the disk: each start of a service writes all of it anew.

    Every method may raise `I2VError` (`database.*`) if the file cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, ids: Iterable[str]) -> None:
        """Forget all devices but these, of which nothing is known yet: for the start of a service."""
        with self._database.write(durable=False) as db:
            db.execute("DELETE FROM devices")
            db.execute("DELETE FROM device_models")
            db.executemany("INSERT INTO devices (id) VALUES (?)", [[each] for each in dict.fromkeys(ids)])

    def add(self, ids: Iterable[str]) -> None:
        """Let jobs wait for these devices too, before anything is known of them."""
        with self._database.write(durable=False) as db:
            db.executemany("INSERT OR IGNORE INTO devices (id) VALUES (?)", [[each] for each in ids])

    def remove(self, device: str) -> None:
        """Let no job wait for this device any more: it is gone."""
        with self._database.write(durable=False) as db:
            db.execute("DELETE FROM devices WHERE id = ?", [device])
            db.execute("DELETE FROM device_models WHERE device = ?", [device])

    def have_models(self, device: str, engines: Iterable[str]) -> None:
        """Note whose weights a device's machine has: jobs of these engines go to such devices alone.

        Without a note for any device, nobody looks at weights. With no engines it takes no such jobs. With
        `UNKNOWN`, jobs whose weights nobody else has wait until it is known.
        """
        with self._database.write(durable=False) as db:
            db.execute("DELETE FROM device_models WHERE device = ?", [device])
            rows = [[each, device] for each in engines]
            db.executemany("INSERT INTO device_models (engine, device) VALUES (?, ?)", rows)

    def measured(self, device: str, free_bytes: int | None) -> None:
        """Note what a worker has found free; `None` where it cannot tell."""
        with self._database.write(durable=False) as db:
            db.execute("INSERT OR REPLACE INTO devices VALUES (?, ?)", [device, free_bytes])

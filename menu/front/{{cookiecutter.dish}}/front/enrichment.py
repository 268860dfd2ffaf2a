"""Features that a request leaves out, looked up in PostgreSQL by the key of an entity."""

import asyncio
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool
from starlette.exceptions import HTTPException

from front.config import FeatureTable
from front.validation import Contract, Tensors, rejected

CONNECT_SECONDS = 0.3
QUERY = "SELECT to_json(entity) FROM (SELECT {} FROM {} WHERE {} = ANY(%s)) entity"
"""In JSON, so that any type of PostgreSQL becomes what a tensor may hold."""


class Enrichment:
    """The table of one model's features, with connections of its own."""

    def __init__(self, settings: FeatureTable, connections: int) -> None:
        self._key, self._table, self._columns = settings.key, settings.table, settings.columns
        options: Any = {"max_size": connections, "min_size": 0, "reconnect_timeout": 1}
        self._pool = AsyncConnectionPool(settings.database, open=False, **options)

    async def fill(self, tensors: Tensors, contract: Contract, by: float) -> None:
        """Add the tensors that are missing, and drop the key.

        Raises:
            HTTPException: 400, no entity has this key; 503, the features cannot be looked up.
        """
        keys = tensors.get(self._key, {}).get("data")
        if self._key not in contract.datatypes:
            tensors.pop(self._key, None)
        missing = [each for each in self._columns if each not in tensors]
        if keys is None or not missing:
            return
        if not isinstance(keys, list) or {*map(type, keys)} not in ({int}, {str}):
            raise rejected(self._key, "expected texts or whole numbers, one a row")
        # Not `wait_for`, which would wait for a database that hangs to confirm that it gave up.
        task = asyncio.create_task(self._look_up(keys, [self._key, *missing]))
        await asyncio.wait([task], timeout=by - asyncio.get_running_loop().time())
        if not task.done():
            task.cancel()
            raise HTTPException(503, f"{self._table}: no features in time")
        rows = task.result()
        if unknown := [each for each in keys if str(each) not in rows]:
            raise rejected(self._key, f"{unknown[0]!r:.80} is not in {self._table}")
        for name in missing:
            tensor = {"name": name, "datatype": contract.datatypes.get(name), "shape": [len(keys)]}
            tensors[name] = {**tensor, "data": [rows[str(each)][name] for each in keys]}

    async def _look_up(self, keys: list[Any], columns: list[str]) -> dict[str, dict[str, Any]]:
        """The rows by key, as a text."""
        names, table = SQL(", ").join(map(Identifier, columns)), Identifier(*self._table.split("."))
        try:
            await self._pool.open()
            async with self._pool.connection(CONNECT_SECONDS) as connection:
                query = SQL(QUERY).format(names, table, Identifier(self._key))
                found = await (await connection.execute(query, [keys])).fetchall()
        except (psycopg.DataError, psycopg.errors.UndefinedFunction, UnicodeError) as error:
            raise rejected(self._key, f"does not fit {self._table}: {error!r:.100}") from None
        except psycopg.Error as error:
            fault = f"features cannot be looked up: {type(error).__name__}"
            raise HTTPException(503, f"{self._table}: {fault}") from None
        return {str(row[self._key]): row for (row,) in found}

"""A version is migrated in and out of the service's own database, beside other versions."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from databases import Sql
from postgres import DISH, ROOT, TABLE, server

SERVICE = ROOT / "service/.venv/bin/python"
MIGRATE = "from service.cli import main; main(['migrate'])"
DOWNGRADE = """
import os
from alembic import command
from service.database import Database, config
database = Database(os.environ["DATABASE_URL"], limited=False)
with database.migrating() as connection:
    command.downgrade(config(connection), "-1")
"""
OTHER = "0123456789ab"


class Product:
    """A copy of the service, so that this project gets no migration, and a database of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        shutil.copytree(ROOT / "service/src", folder / "src")
        self.folder = folder
        self.migrations = folder / "src/service/migrations/versions"

    def run(self, code: str) -> None:
        """Run Python as the service does."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "src"),
            "DATABASE_URL": self.url,
        }
        subprocess.run([SERVICE, "-c", code], cwd=self.folder, env=environment, check=True)

    def generate(self, *arguments: str) -> None:
        """Write a migration."""
        command = [ROOT / "model/.venv/bin/python", DISH / "generate.py", self.migrations]
        subprocess.run([*command, *arguments], cwd=ROOT, check=True)

    def execute(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        if self.url.startswith("sqlite"):
            with (
                closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as database,
                database,
            ):
                return database.execute(query.replace("%s", "?"), values).fetchall()
        with psycopg.connect(self.url.replace("+psycopg", "")) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(params=["sqlite", "postgresql"])
def product(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Product]:
    if request.param == "sqlite":
        yield Product(tmp_path, f"sqlite:///{tmp_path}/product.db")
        return
    url, name = server(), f"test_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(f"CREATE DATABASE {name}")
        try:
            own = f"{url.rpartition('/')[0]}/{name}"
            yield Product(tmp_path, own.replace("postgresql:", "postgresql+psycopg:"))
        finally:
            database.execute(f"DROP DATABASE {name} WITH (FORCE)")


def add_rows(product: Product, model: Sql, rows: list[Any]) -> None:
    """Put rows into the table, as the service would."""
    for row in rows:
        values = {**row["features"], "created_at": datetime.now(UTC)}
        for name, kind in model.kinds.items():
            if kind == "datetime" and values[name] is not None:
                values[name] = datetime.fromtimestamp(values[name], UTC)
        if product.url.startswith("sqlite"):
            values = {
                name: f"{it:%Y-%m-%d %H:%M:%S.%f}" if isinstance(it, datetime) else it
                for name, it in values.items()
            }
        names = ", ".join(f'"{name}"' for name in values)
        places = ", ".join(["%s"] * len(values))
        product.execute(f'INSERT INTO "{TABLE}" ({names}) VALUES ({places})', *values.values())


def test_versions_come_and_go_with_the_migrations(product: Product, model: Sql) -> None:
    product.run(MIGRATE)
    product.generate("create")
    product.run(MIGRATE)
    rows = model.rows[:50]  # of the history
    add_rows(product, model, rows)
    query = f"SELECT expected_{model.target}, model_version FROM {model.view} ORDER BY id"
    found = product.execute(query)
    right = [row["expected"][model.target] for row in rows]
    if model.classes:
        assert [expected for expected, _ in found] == right
    else:
        assert [expected for expected, _ in found] == pytest.approx(right, rel=1e-9)
    assert {version for _, version in found} == {model.version}

    # Another version, which in truth is the same.
    for path in product.migrations.glob(f"create_{model.version}*"):
        copy = path.read_text("utf-8").replace(model.version, OTHER)
        if path.suffix == ".py":
            lines = copy.splitlines(keepends=True)
            (place,) = (at for at, line in enumerate(lines) if line.startswith("down_revision"))
            lines[place] = f'down_revision = "create_{model.version}"\n'
            copy = "".join(lines)
        path.with_name(path.name.replace(model.version, OTHER)).write_text(copy, "utf-8")
    for path in product.migrations.glob(f"create_{model.version}*.sql"):
        drop = path.with_name(path.name.replace("create", "drop"))
        copy = drop.read_text("utf-8").replace(model.version, OTHER)
        drop.with_name(drop.name.replace(model.version, OTHER)).write_text(copy, "utf-8")
    product.run(MIGRATE)
    other = query.replace(model.version, OTHER)
    assert [expected for expected, _ in product.execute(other)] == [it for it, _ in found]

    product.generate("drop", model.version)
    product.run(MIGRATE)
    assert len(product.execute(other)) == len(rows)
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)):
        product.execute(query)
    product.run(DOWNGRADE)
    assert product.execute(query) == found
    for _ in range(2):
        product.run(DOWNGRADE)
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)):
        product.execute(other)


def test_a_migration_is_what_the_project_asks_of_one(model: Sql, tmp_path: Path) -> None:
    product = Product(tmp_path, "sqlite://")
    product.generate("create")
    product.generate("drop", model.version)
    for command in ("check", "format --check"):
        options: list[Any] = ["--config", ROOT / "pyproject.toml", *product.migrations.glob("*.py")]
        subprocess.run([ROOT / ".venv/bin/ruff", *command.split(), *options], check=True)
    product.run((ROOT / "dev/migrations.py").read_text("utf-8"))
    with pytest.raises(subprocess.CalledProcessError):
        product.generate("create")

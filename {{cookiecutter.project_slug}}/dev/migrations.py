"""`make lint`: whether the previous release can work with what each migration changes (ADR 37).

Each migration is written as SQL for PostgreSQL, without a database, and squawk reads it. What has
to be done all the same is marked in the file of the migration, with the reason:

    ALLOWED = {"ban-drop-column": "no release since 1.4 reads or writes it"}
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory

from service.database import config
from service.tables import Base

SQUAWK = (
    Path(sys.executable).with_name("squawk"),
    "--reporter=json",
    "--pg-version=15",
    f"--config={os.devnull}",  # an exception stands in the migration, not in a file of squawk's
)
MATTERS_OF_TASTE = (
    "ban-char-field",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "require-enum-value-ordering",
)
SET_BY_SERVICE_MIGRATE = ("require-lock-timeout", "require-statement-timeout")

DROP = "a release that does without it goes first; drop it in a later one, and say so in ALLOWED"
COPY = "add a new one beside it, write both, read the new one, and drop the old one releases later"
NOT_VALID = (
    "create it with postgresql_not_valid=True; a later migration validates it: "
    'op.execute("ALTER TABLE … VALIDATE CONSTRAINT …")'
)
CONCURRENTLY = (
    "postgresql_concurrently=True, within `with op.get_context().autocommit_block():`, "
    "in a migration of its own"
)
INSTEAD = {
    "adding-field-with-default": "add it without that default, and fill it in afterwards",
    "adding-foreign-key-constraint": NOT_VALID,
    "adding-not-nullable-field": (
        "once every release that runs writes it: a CHECK (… IS NOT NULL) that is not valid yet; a "
        "later migration validates that, and then sets NOT NULL"
    ),
    "adding-required-field": "nullable=True, or a server_default; NOT NULL comes releases later",
    "ban-concurrent-index-creation-in-transaction": CONCURRENTLY,
    "ban-drop-column": DROP,
    "ban-drop-table": DROP,
    "changing-column-type": COPY,
    "constraint-missing-not-valid": NOT_VALID,
    "disallowed-unique-constraint": f"a unique index; {CONCURRENTLY}",
    "renaming-column": COPY,
    "renaming-table": COPY,
    "require-concurrent-index-creation": CONCURRENTLY,
    "require-concurrent-index-deletion": CONCURRENTLY,
}
"""What to do in the place of what a rule forbids; squawk has advice for the others."""


def sql_of(migration: Script) -> str:
    """What a migration does to PostgreSQL.

    Raises:
        Exception: whatever a migration raises that needs a database.
    """
    sql = StringIO()
    options = {"as_sql": True, "output_buffer": sql, "target_metadata": Base.metadata}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context), context.begin_transaction():
        migration.module.upgrade()
    return sql.getvalue()


def violations(sql: str) -> list[dict[str, Any]]:
    """What squawk says of it, each with `rule_name`, `line` (from 0), `message` and `help`."""
    excluded = ",".join((*MATTERS_OF_TASTE, *SET_BY_SERVICE_MIGRATE))
    done = subprocess.run(
        [*SQUAWK, f"--exclude={excluded}"],
        input=sql.replace("squawk-ignore", "squawk ignore"),  # that is what ALLOWED is for
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        sys.exit(f"squawk: {done.stderr}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def is_rule(name: str) -> bool:
    """Whether squawk has a rule of this name."""
    known = subprocess.run(
        [*SQUAWK, f"--exclude={name}"], input="", capture_output=True, text=True, check=False
    )
    return known.returncode == 0


def faults_of(migration: Script) -> Iterator[str]:
    """What is wrong with a migration, or with its marks."""
    try:
        sql = sql_of(migration)
    except Exception as error:
        yield (
            f"cannot be written as SQL: {type(error).__name__}: {error}\n"
            "  instead: if it needs a database, that goes behind `if not op.get_context().as_sql:`"
        )
        return
    allowed: dict[str, str] = getattr(migration.module, "ALLOWED", {})
    found = violations(sql)
    for each in found:
        rule, line = each["rule_name"], each["line"]
        if rule not in allowed:
            advice = INSTEAD.get(rule) or each["help"] or "a migration that only adds"
            yield (
                f"line {line + 1} of its SQL: {sql.splitlines()[line]}\n"
                f"  {rule}: {each['message']}\n"
                f"  instead: {advice}"
            )
    for rule, reason in allowed.items():
        if not is_rule(rule):
            yield f"ALLOWED: squawk has no rule {rule!r}"
        elif rule not in {each["rule_name"] for each in found}:
            yield f"ALLOWED: {rule!r} is not violated; take the mark out"
        if not reason.strip():
            yield f"ALLOWED: {rule!r} has no reason"


def faults(scripts: ScriptDirectory) -> list[str]:
    """What is wrong with the migrations in a folder, the first one's first."""
    return [
        f"{os.path.relpath(migration.path)}: {fault}"
        for migration in reversed([*scripts.walk_revisions()])
        for fault in faults_of(migration)
    ]


if __name__ == "__main__":
    sys.exit("\n".join(faults(ScriptDirectory.from_config(config()))) or None)

"""`make lint` rejects migrations that the previous release cannot work with, or they are marked."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory

import service.migrations

Plant = Callable[..., list[str]]
NOTE = 'sa.Column("note", sa.Text(){})'
BAD = {
    "a column is dropped": ('op.drop_column("rows", "created_at")', "ban-drop-column"),
    "a column is dropped in batch mode": (
        'with op.batch_alter_table("rows") as batch:\n        batch.drop_column("created_at")',
        "ban-drop-column",
    ),
    "a column is dropped in plain SQL": (
        'op.execute("ALTER TABLE rows DROP COLUMN created_at")',
        "ban-drop-column",
    ),
    "squawk is told to ignore it": (
        'op.execute("-- squawk-ignore ban-drop-table\\nDROP TABLE rows")',
        "ban-drop-table",
    ),
    "a table is dropped": ('op.drop_table("rows")', "ban-drop-table"),
    "a column is renamed": (
        'op.alter_column("rows", "created_at", new_column_name="placed_at")',
        "renaming-column",
    ),
    "a table is renamed": ('op.rename_table("rows", "others")', "renaming-table"),
    "a column is mandatory": (
        f'op.add_column("rows", {NOTE.format(", nullable=False")})',
        "adding-required-field",
    ),
    "a column becomes mandatory": (
        'op.alter_column("rows", "recorded_at", nullable=False)',
        "adding-not-nullable-field",
    ),
    "a column may be missing": (
        'op.alter_column("rows", "created_at", nullable=True)',
        "ban-drop-not-null",
    ),
    "a type changes": (
        'op.alter_column("rows", "created_at", type_=sa.Text())',
        "changing-column-type",
    ),
    "a default rewrites the table": (
        'op.add_column("rows", sa.Column("key", sa.Uuid(), server_default=sa.func.random()))',
        "adding-field-with-default",
    ),
    "an index blocks writes": (
        'op.create_index("ix_new", "rows", ["created_at"])',
        "require-concurrent-index-creation",
    ),
    "dropping an index blocks reads": (
        'op.drop_index("ix_new", "rows")',
        "require-concurrent-index-deletion",
    ),
    "an index is made concurrently within a transaction": (
        'op.create_index("ix_new", "rows", ["created_at"], postgresql_concurrently=True)',
        "ban-concurrent-index-creation-in-transaction",
    ),
    "a check reads the whole table": (
        'op.create_check_constraint("ck_new", "rows", "id > 0")',
        "constraint-missing-not-valid",
    ),
    "a foreign key reads the whole table": (
        'op.create_foreign_key("fk_new", "rows", "predictions", ["id"], ["id"])',
        "adding-foreign-key-constraint",
    ),
    "a unique constraint makes an index": (
        'op.create_unique_constraint("uq_new", "rows", ["created_at"])',
        "disallowed-unique-constraint",
    ),
    "a primary key makes an index": (
        'op.create_primary_key("pk_new", "rows", ["created_at"])',
        "adding-serial-primary-key-field",
    ),
}
GOOD = {
    "nothing": "pass",
    "a column that may be missing": f'op.add_column("rows", {NOTE.format("")})',
    "a column with a default": (
        f"""op.add_column("rows", {NOTE.format(', nullable=False, server_default=""')})"""
    ),
    "a table of its own": (
        'op.create_table("more", sa.Column("id", sa.BigInteger(), sa.ForeignKey("rows.id"),'
        " primary_key=True))\n"
        '    op.create_index("ix_more", "more", ["id"], unique=True)\n'
        '    op.create_check_constraint("ck_more", "more", "id > 0")'
    ),
    "an index that blocks nobody": (
        "with op.get_context().autocommit_block():\n"
        '        op.drop_index("ix_new", "rows", if_exists=True, postgresql_concurrently=True)\n'
        '        op.create_index("ix_new", "rows", ["created_at"], postgresql_concurrently=True)'
    ),
    "constraints for what is written from now on": (
        'op.create_check_constraint("ck_new", "rows", "id > 0", postgresql_not_valid=True)\n'
        '    op.create_foreign_key("fk_new", "rows", "predictions", ["id"], ["id"],'
        " postgresql_not_valid=True)"
    ),
    "what was checked becomes mandatory": (
        'op.execute("ALTER TABLE rows VALIDATE CONSTRAINT ck_new")\n'
        '    op.alter_column("rows", "note", nullable=False)'
    ),
    "what needs the database stays out of the SQL": (
        "if not op.get_context().as_sql:\n"
        '        op.get_bind().execute(sa.text("SELECT 1")).scalar_one()'
    ),
}
DROPPED = 'op.drop_column("rows", "created_at")'


@pytest.fixture(scope="module")
def linter() -> Any:
    """dev/migrations.py, which is a program, as a module."""
    path = Path(__file__).parents[2] / "dev" / "migrations.py"
    spec = importlib.util.spec_from_file_location("migrations", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plant(linter: Any, tmp_path: Path) -> Plant:
    """Puts a migration behind those of the project, in a copy; what the linter says of them all."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(service.migrations.__file__).parent, folder)
    scripts = ScriptDirectory(folder)

    def faults(upgrade: str, marks: str = "") -> list[str]:
        (folder / "versions" / "new.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n\nrevision = 'new'\n"
            f"down_revision = {scripts.get_current_head()!r}\n{marks}\n\n"
            f"def upgrade() -> None:\n    {upgrade}\n",
            "utf-8",
        )
        found: list[str] = linter.faults(ScriptDirectory(folder))
        assert all("new.py: " in fault for fault in found)
        return found

    return faults


@pytest.mark.parametrize(("upgrade", "rule"), BAD.values(), ids=BAD)
def test_what_the_previous_release_cannot_work_with_is_rejected(
    upgrade: str, rule: str, plant: Plant
) -> None:
    found = plant(upgrade)
    assert any(f"\n  {rule}: " in fault for fault in found)
    assert all("\n  instead: " in fault for fault in found)


@pytest.mark.parametrize("upgrade", GOOD.values(), ids=GOOD)
def test_what_only_adds_passes(upgrade: str, plant: Plant) -> None:
    assert plant(upgrade) == []


def test_a_fault_is_told_with_its_line_its_rule_and_what_to_do(plant: Plant) -> None:
    (fault,) = plant(DROPPED)
    place, rule, instead = fault.splitlines()
    assert place.endswith(
        "versions/new.py: line 3 of its SQL: ALTER TABLE rows DROP COLUMN created_at;"
    )
    assert rule == "  ban-drop-column: Dropping a column may break existing clients."
    assert instead.startswith("  instead: a release that does without it goes first")


def test_what_is_marked_with_a_reason_passes(plant: Plant) -> None:
    assert plant(DROPPED, 'ALLOWED = {"ban-drop-column": "nothing reads it since 1.4"}') == []


@pytest.mark.parametrize(
    ("upgrade", "marks", "told"),
    [
        (DROPPED, {"ban-drop-column": " "}, ["'ban-drop-column' has no reason"]),
        ("pass", {"ban-drop-column": "gone"}, ["'ban-drop-column' is not violated"]),
        (DROPPED, {"ban-drop-colum": "gone"}, ["ban-drop-column:", "no rule 'ban-drop-colum'"]),
        (
            f'{DROPPED}; op.drop_table("rows")',
            {"ban-drop-column": "gone"},
            ["ban-drop-table:"],
        ),
    ],
    ids=["no reason", "not violated", "unknown", "another rule"],
)
def test_a_mark_covers_what_it_says_and_no_more(
    upgrade: str, marks: dict[str, str], told: list[str], plant: Plant
) -> None:
    found = plant(upgrade, f"ALLOWED = {marks}")
    assert len(found) == len(told)
    assert all(words in fault for words, fault in zip(told, found, strict=True))


def test_a_migration_that_reads_the_database_is_told_how_to(plant: Plant) -> None:
    (fault,) = plant('op.get_bind().execute(sa.text("SELECT 1")).scalar_one()')
    assert "cannot be written as SQL" in fault
    assert "as_sql" in fault


def test_a_linter_that_does_not_run_is_a_failure(
    linter: Any, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linter, "SQUAWK", (*linter.SQUAWK, "--nonsense"))
    with pytest.raises(SystemExit, match="nonsense"):
        plant("pass")

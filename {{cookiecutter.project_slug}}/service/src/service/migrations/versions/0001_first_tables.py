{%- set types = {'float': 'sa.Double()', 'int': 'sa.BigInteger()', 'bool': 'sa.Boolean()', 'category': 'TEXT', 'datetime': 'MOMENT'} -%}
{%- set plural = cookiecutter.__plural -%}
{%- set kind = types[cookiecutter.__target_kind] -%}
"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.String(length=200)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "{{ plural }}",
        sa.Column("id", ID, nullable=False),
{%- for feature in cookiecutter.features.split() %}{% set name, type = feature.split(':') %}
        sa.Column("{{ name }}", {{ types[type.rstrip('?')] }}, nullable={{ 'True' if type.endswith('?') else 'False' }}),
{%- endfor %}
        sa.Column("{{ cookiecutter.__target }}", {{ kind }}, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_{{ plural }}"),
    )
    op.create_table(
        "predictions",
        sa.Column("id", ID, nullable=False),
        sa.Column("{{ cookiecutter.entity }}_id", ID, nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("expected", {{ 'sa.Double()' if cookiecutter.__task == 'regression' else kind }}, nullable=True),
{%- if cookiecutter.__task != 'regression' %}
        sa.Column("probabilities", sa.JSON(), nullable=True),
{%- endif %}
        sa.Column("served_by", TEXT, nullable=False),
        sa.Column("model_version", TEXT, nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("outcome", {{ kind }}, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
        sa.ForeignKeyConstraint(
            ["{{ cookiecutter.entity }}_id"],
            ["{{ plural }}.id"],
            name="fk_predictions_{{ cookiecutter.entity }}_id",
        ),
    )
    op.create_index(
        "ix_predictions_{{ cookiecutter.entity }}_id",
        "predictions",
        ["{{ cookiecutter.entity }}_id"],
    )
    op.create_table(
        "model_versions",
        sa.Column("version", TEXT, nullable=False),
        sa.Column("signature", TEXT, nullable=True),
        sa.Column("fallback", sa.JSON(), nullable=True),
        sa.Column("first_seen", MOMENT, nullable=False),
        sa.Column("last_seen", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_model_versions"),
    )


def downgrade() -> None:
    """Drop them, and all that they hold."""
    op.drop_table("model_versions")
    op.drop_index(
        "ix_predictions_{{ cookiecutter.entity }}_id",
        table_name="predictions",
    )
    op.drop_table("predictions")
    op.drop_table("{{ plural }}")

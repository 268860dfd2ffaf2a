"""The current version as a view of PostgreSQL that ranks what a full text search has found.

`generate.py FOLDER` writes create_VERSION.sql and drop_VERSION.sql, `generate.py` only says if that
can be done. Run in the project's root. The features are columns of TABLE.
"""

import sys
from pathlib import Path
from string import Template

from expressions import NotSupportedError
from model.errors import ModelError
from statements import POSTGRESQL, current, postgresql_function


def main(folder: str = "") -> None:
    """Write the statements, if there is a folder for them."""
    version = current()
    template = Template(Path(__file__).with_name("search.sql.template").read_text("utf-8"))
    create = template.substitute(
        function=postgresql_function(version),
        table=version.table,
        version=version.name,
        call=f"{version.function}({', '.join(version.source(POSTGRESQL))})",
    )
    drop = (
        f"DROP VIEW {version.table}_ranked_{version.name}\n;\nDROP FUNCTION {version.function}\n;\n"
    )
    for action, text in {"create": create, "drop": drop}.items() if folder else ():
        (Path(folder) / f"{action}_{version.name}.sql").write_text(text, "utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ModelError, NotSupportedError) as error:
        sys.exit(f"dishes/search: {error}")

"""`python -m stamping.rendering RECORD OUT`: stamp a recorded project out again, without its data/.

`make update` calls it of the version that a project has and of the one that it will have, whichever
these are: command, record and what comes out are an interface.
"""

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from cookiecutter.main import cookiecutter

from stamping import TEMPLATE
from stamping.record import context_of


def render(record: Path, out: Path) -> Path:
    """The project in a new folder of `out`; nobody's cookiecutter settings have a say in it."""
    with TemporaryDirectory() as home:
        config = Path(home, "config.yaml")
        config.write_text(json.dumps({"cookiecutters_dir": home, "replay_dir": home}), "utf-8")
        project = cookiecutter(
            str(TEMPLATE),
            no_input=True,
            extra_context=context_of(json.loads(record.read_text("utf-8"))),
            config_file=str(config),
            output_dir=str(out),
        )
    shutil.rmtree(Path(project, "data"))
    return Path(project)


if __name__ == "__main__":
    render(Path(sys.argv[1]), Path(sys.argv[2]))

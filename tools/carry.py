"""`make carry`: bring what was changed in a stamped-out copy back into the template.

The copy is compared with what its answers give now. A file without Jinja is copied, a new one too;
of any other file the difference is shown, to be carried by hand. Nothing is ever deleted.
"""

import difflib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
STAMPED = TEMPLATE / "{{cookiecutter.project_slug}}"
LANDMARK = Path("contract", "src", "contract", "features.py")
JINJA = re.compile(rb"\{[{%#]")


class Refused(Exception):
    """Why nothing can be carried, in one line."""


def carry(copy: Path, answers: list[str]) -> tuple[list[str], list[str]]:
    """Copy back what can be copied: one line on each file that differs, and the diffs left to do.

    Args:
        copy: The project's folder.
        answers: What it was stamped out with where that is not the default, as `name=value`.

    Raises:
        Refused: The folder is no project, or the answers are wrong.
    """
    if not (copy / LANDMARK).is_file():
        raise Refused(f"{copy} is no project: it has no {LANDMARK}")
    lines, diffs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        fresh = stamp_out(Path(scratch, "out"), answers)
        before, after = (contents(folder, Path(scratch, "git")) for folder in (fresh, copy))
    for path in sorted(before.keys() | after.keys()):
        old, new, source = before.get(path), after.get(path), STAMPED / path
        if new == old:
            continue
        if new is None:
            lines.append(f"missing  {path}: in the template only")
        elif not is_plain(source, old, new):
            lines.append(f"by hand  {path}: Jinja, or made by a hook")
            diffs.append(diff(source, old or b"", new, copy / path))
        elif old is not None and source.stat().st_mtime > (copy / path).stat().st_mtime:
            lines.append(f"newer    {path}: changed later in the template, so left as it is there")
            diffs.append(diff(source, old, new, copy / path))
        else:
            source.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(copy / path, source)
            lines.append(f"carried  {path}")
    return lines, diffs


def stamp_out(out: Path, answers: list[str]) -> Path:
    """A fresh project of these answers, in a folder of its own."""
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input", "-o", str(out)]
    done = subprocess.run([*command, *answers], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"the template could not be stamped out:\n{done.stdout}{done.stderr}")
    (project,) = out.iterdir()
    return project


def contents(project: Path, git: Path) -> dict[Path, bytes]:
    """The bytes of each file that git would track, whether the project is in git or not."""
    subprocess.run(["git", "init", "--quiet", "--bare", git], check=True)
    command = ["git", f"--git-dir={git}", f"--work-tree={project.resolve()}", "ls-files", "-z"]
    listed = subprocess.run(
        [*command, "--others", "--exclude-standard"], cwd=project, capture_output=True, check=True
    )
    paths = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    return {path: (project / path).read_bytes() for path in paths if (project / path).is_file()}


def is_plain(source: Path, old: bytes | None, new: bytes) -> bool:
    """Whether the template's file may hold the very bytes of the copy's."""
    if JINJA.search(new):
        return False
    return not source.exists() if old is None else source.is_file() and source.read_bytes() == old


def diff(source: Path, old: bytes, new: bytes, path: Path) -> str:
    """From the file as it is stamped out to the file as it is in the copy."""
    before, after = (text.decode(errors="replace").rstrip("\n").split("\n") for text in (old, new))
    name = str(source.relative_to(TEMPLATE))
    return "\n".join(difflib.unified_diff(before, after, name, str(path), lineterm=""))


def main(arguments: list[str]) -> None:
    """Print a line a file, then the diffs; exit with 1 after a line on a folder that is wrong."""
    if not arguments or not Path(arguments[0]).is_dir() or not all("=" in a for a in arguments[1:]):
        sys.exit('usage: make carry FROM=folder ARGS="answer=value ..." (make demo stamps one out)')
    try:
        lines, diffs = carry(Path(arguments[0]), arguments[1:])
    except Refused as reason:
        sys.exit(f"carry: {reason}")
    print("\n".join(lines or ["nothing differs from the template"]))
    for each in diffs:
        print(f"\n{each}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""`make update`: merge what has changed in the template since this project was stamped out.

This fetches the template at the newer version, and has that version do it. `.template.json` says
where the template is, which version this project has, and what was answered.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / ".template.json"
RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


def order(tag: str) -> list[int]:
    """By which a release is newer than another; what is no release comes before all."""
    found = RELEASE.fullmatch(tag)
    return [int(number) for number in found.groups()] if found else []


def git(*arguments: str | Path) -> str:
    """What a git command prints; what went wrong it says itself."""
    done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit("update: the template cannot be read, see above")
    return done.stdout


def main(version: str, given: str) -> None:
    """Update to this version of the template, or the newest; the template may be elsewhere now."""
    try:
        record = json.loads(RECORD.read_text("utf-8"))
    except (OSError, ValueError) as fault:
        sys.exit(f"update: {RECORD.name} cannot be read: {fault}")
    template = given or record["template"]
    if not template:
        sys.exit("update: say where the template is: make update TEMPLATE=path-or-URL")
    refs = git("ls-remote", "--tags", "--refs", "--", template).split()
    tags = [ref.removeprefix("refs/tags/") for ref in refs[1::2]]
    wanted = version or max(tags, key=order, default="")
    if wanted not in tags or not order(wanted):
        sys.exit(f"update: {template} has no release {version or 'like v1.2.3'} among its tags")
    if order(wanted) <= order(record["tag"]):
        print(f"this project has {record['tag']}; {wanted} is not newer")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "template")
        quiet = ("--quiet", "--config", "advice.detachedHead=false", "--branch", wanted)
        git("clone", *quiet, "--", template, folder)
        command = [sys.executable, "-m", "stamping.update", str(ROOT), given]
        sys.exit(subprocess.run(command, cwd=folder, check=False).returncode)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)

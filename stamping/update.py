"""`python -m stamping.update PROJECT [TEMPLATE]`: merge what this version changed into a project.

A project's `make update` calls it in a clone of the template at the version that it is to have.
Both that version and the one that the project has stamp it out again, each with its own code and
its own tools, and git merges the difference. See docs/adr/0011-update-by-git.md.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stamping import RECORD, TAG, TEMPLATE, locks, migrations
from stamping.git import Refused, git, paths, run

NOBODY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "the template"),
        ("EMAIL", "template@invalid"),
        ("DATE", "2000-01-01T00:00:00Z"),
    )
}
"""Who commits what was stamped out: the same commit for everybody who updates the same project."""

UNDO = "Back to how it was: git merge --abort"


def update(project: Path, template: str = "") -> bool:
    """Merge what changed between the version that a project records and this one.

    Nothing is changed before both versions are stamped out; then there is a merge in progress, as
    `git merge` leaves it, until it is committed. `data/` has no part in it.

    Args:
        project: its folder, all of which is committed.
        template: where this one is, to be recorded; by default what is recorded already.

    Returns:
        Whether it is committed; else it was said what is left to do.

    Raises:
        Refused: it cannot be done, and nothing was changed.
    """
    record = record_of(project)
    top = Path(git(project, "rev-parse", "--show-toplevel"))
    said = [f"{record['tag']} -> {TAG}", *news((TEMPLATE / "CHANGELOG.md"), record["tag"])]
    print("\n".join(said), flush=True)
    with TemporaryDirectory() as scratch:
        place = project.relative_to(top)
        base = tree_of(top, place, record, template_at(record["tag"], Path(scratch)))
        record |= {"template": without_secret(template) or record["template"]}
        theirs = tree_of(top, place, record, TEMPLATE)
    parent = commit_of(top, base) or commit(top, base, f"the template, {record['tag']}")
    merge(top, commit(top, theirs, f"the template, {TAG}", parent), record["tag"])
    return finish(top, project, parent)


def record_of(project: Path) -> dict[str, Any]:
    """What a project records, which is committed like all else.

    Raises:
        Refused: there is no such project, or something is not committed.
    """
    if git(project, "status", "--porcelain"):
        raise Refused("something is not committed: commit it, or `git stash --include-untracked`")
    git(project, "ls-files", "--error-unmatch", RECORD)
    git(project, "var", "GIT_COMMITTER_IDENT")
    record: dict[str, Any] = json.loads((project / RECORD).read_text("utf-8"))
    # A dish whose folder was deleted gets no new files either.
    dishes = record["answers"].get("__dishes", "").split()
    kept = [dish for dish in dishes if (project / "dishes" / dish).exists()]
    record["answers"]["__dishes"] = " ".join(kept)
    return record


def news(changelog: Path, since: str) -> list[str]:
    """The sections on the versions after this one."""
    sections = re.split("(?m)^## ", changelog.read_text("utf-8"))[1:]
    versions = [each.partition("\n")[0].split()[0] for each in sections]
    end = versions.index(since) if since in versions else len(versions)
    return [each.rstrip() for each in sections[:end] if not each.startswith("Unreleased")]


def without_secret(url: str) -> str:
    """The address of the template without a password or token in it."""
    return re.sub("^(https?://)[^/]*@", r"\1", url)


def template_at(tag: str, scratch: Path) -> Path:
    """A clone of the template at one of its tags."""
    folder = scratch / "template"
    try:
        git(scratch, "clone", "--quiet", "--branch", tag, "--", TEMPLATE, folder)
    except Refused as fault:
        raise Refused(f"the template has no tag {tag}, which {RECORD} names: {fault}") from fault
    return folder


def tree_of(top: Path, place: Path, record: Mapping[str, Any], template: Path) -> str:
    """The tree of a repository that has nothing but the project, as a template stamps it out."""
    with TemporaryDirectory() as scratch:
        recorded, out, root = (Path(scratch, name) for name in (RECORD, "out", "root"))
        recorded.write_text(json.dumps(record), "utf-8")
        run([tools_of(template), "-m", "stamping.rendering", recorded, out], template)
        (rendered,) = out.iterdir()
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        rendered.rename(root / place)
        index = {
            "GIT_DIR": git(top, "rev-parse", "--absolute-git-dir"),
            "GIT_WORK_TREE": str(root),
            "GIT_INDEX_FILE": str(Path(scratch, "index")),
        }
        git(root, "add", "--all", "--force", ".", **index)
        return git(root, "write-tree", **index)


def tools_of(template: Path) -> Path:
    """The Python that has what a template needs; of this one, if that needs the same."""
    needs = [(folder / "requirements.txt").read_bytes() for folder in (template, TEMPLATE)]
    folder = TEMPLATE if needs[0] == needs[1] else template
    run(["make", "--silent", "-C", folder, ".venv/ready"], folder)
    return folder / ".venv" / "bin" / "python"


def commit_of(top: Path, tree: str) -> str | None:
    """The commit in the project's history that has this tree: an earlier update."""
    lines = git(top, "log", "--no-show-signature", "--format=%T %H").splitlines()
    return dict(line.split() for line in lines).get(tree)


def commit(top: Path, tree: str, message: str, *parents: str) -> str:
    """A commit of nobody."""
    options = [option for parent in parents for option in ("-p", parent)]
    return git(top, "commit-tree", tree, "-m", message, *options, **NOBODY)


def merge(top: Path, theirs: str, since: str) -> None:
    """Have git merge a commit, from its parent on, whatever the history here is.

    `git merge` would ask for a common ancestor, which a squashed or shallow history does not have.
    So the difference is picked, and then it is a merge in progress like any other.
    """
    try:
        git(top, "-c", "merge.directoryRenames=true", "cherry-pick", "--no-commit", theirs)
    except Refused:
        if not paths(top, "diff", "--name-only", "--diff-filter=U"):
            raise
    git(top, "update-ref", "MERGE_HEAD", theirs)
    message = f"Update to {TAG} of the template, from {since}\n"
    Path(top, git(top, "rev-parse", "--git-path", "MERGE_MSG")).write_text(message, "utf-8")


def finish(top: Path, project: Path, base: str) -> bool:
    """Settle what is no conflict, and commit the merge unless something is left to do."""
    theirs = git(top, "rev-parse", "MERGE_HEAD")
    deleted = stay_deleted(top)
    is_in_a_row, remark = migrations.settle(top, project, base, theirs)
    is_to_lock = locks.settle(top, base, theirs)
    print("\n".join(["", *deleted, *filter(None, [remark])]), flush=True)
    lock = "make lock && git add --update && " if is_to_lock else ""
    conflicts = paths(top, "diff", "--name-only", "--diff-filter=U")
    if conflicts:
        print(f"In conflict with your changes: {' '.join(conflicts)}")
    if conflicts or not is_in_a_row:
        print(f"Resolve that, `git add` it, then: {lock}git commit\n{UNDO}")
        return False
    if is_to_lock:
        print("make lock: what your pyproject.toml files ask for, with the template's pins")
        if subprocess.run(["make", "--silent", "lock"], cwd=project, check=False).returncode:  # noqa: S607
            print(f"It needs the network. Once that is there: {lock}git commit\n{UNDO}")
            return False
        git(top, "add", "--update")
    # As with `git merge`, no pre-commit hook: it would lint with tools that are not set up yet.
    git(top, "commit", "--quiet", "--no-edit", "--no-verify")
    print("Merged; `git diff HEAD~` tells what. Next: make setup check")
    return True


def stay_deleted(top: Path) -> list[str]:
    """Have files that were deleted here stay so, though the template changed them; a line each."""
    stages: dict[str, set[str]] = {}
    for entry in paths(top, "ls-files", "--unmerged"):
        details, _, path = entry.partition("\t")
        stages.setdefault(path, set()).add(details.split()[2])
    gone = [path for path, found in stages.items() if found == {"1", "3"}]
    if gone:
        git(top, "rm", "--quiet", "--force", "--", *gone)
    return [f"{path}: changed in the template, stays deleted here" for path in gone]


def main(arguments: list[str]) -> None:
    """Update, or exit with 1 after what is left to do, or after why it cannot be done."""
    try:
        is_done = update(Path(arguments[0]).resolve(), *arguments[1:2])
    except Refused as reason:
        sys.exit(f"update: {reason}")
    except KeyboardInterrupt:
        sys.exit(f"update: stopped; if a merge is in progress: {UNDO}")
    sys.exit(not is_done)


if __name__ == "__main__":
    main(sys.argv[1:])

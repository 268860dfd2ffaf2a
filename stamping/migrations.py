"""The migrations in a merge: those that the template adds come after the project's own."""

import re
from dataclasses import dataclass
from pathlib import Path

from stamping.git import git, paths

VERSIONS = Path("service", "src", "service", "migrations", "versions")


@dataclass(frozen=True)
class Migration:
    """One file, and where it stands in the chain; `follows` is empty for the first."""

    path: Path
    name: str
    follows: frozenset[str]


def settle(top: Path, project: Path, base: str, theirs: str) -> tuple[bool, str]:
    """Put the template's new migrations behind the project's own, which databases have applied.

    Returns:
        Whether they stand in a row now, and what is to be known of it, if anything.
    """
    folder = project / VERSIONS
    listed = paths(top, "diff", "--name-only", "--diff-filter=A", base, theirs, "--", folder)
    new = {top / path for path in listed}
    chain = [migration for path in sorted(folder.glob("*.py")) if (migration := read(path))]
    twice = {each.name for each in chain if [other.name for other in chain].count(each.name) > 1}
    if not twice and len(ends_of(chain)) <= 1:
        return True, ""
    added = [each for each in chain if each.path in new]
    own = [each for each in chain if each.path not in new]
    first = [each for each in added if not each.follows & {other.name for other in added}]
    last = ends_of(own)
    if not twice and len(first) == len(last) == 1:
        text = first[0].path.read_text("utf-8")
        text = re.sub("(?m)^down_revision = .*$", f'down_revision = "{last[0]}"', text, count=1)
        first[0].path.write_text(text, "utf-8")
        git(top, "add", "--", first[0].path)
        return True, f"migration {first[0].name} of the template follows {last[0]}, your last one"
    names = ", ".join(sorted({*twice, *ends_of(chain)}))
    return False, (
        f"The migrations do not stand in a row, see {names}: edit `revision` and `down_revision` in"
        f" {VERSIONS}\nuntil each name is there once and follows another, the template's yours."
    )


def ends_of(chain: list[Migration]) -> list[str]:
    """The names of the migrations that no other follows: one, if databases can be migrated."""
    return [each.name for each in chain if not any(each.name in other.follows for other in chain)]


def read(path: Path) -> Migration | None:
    """The migration in a file, if it holds one."""
    text = path.read_text("utf-8")
    name = re.search(r"""(?m)^revision\b.*=\s*["'](.+)["']""", text)
    follows = re.search(r"(?m)^down_revision\b.*=(.*)", text)
    if not name or not follows:
        return None
    return Migration(path, name[1], frozenset(re.findall(r"""["'](.+?)["']""", follows[1])))

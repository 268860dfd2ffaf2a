"""`make new CSV=... TARGET=...`: from a table to a trained project that has answered."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from stamping import TEMPLATE
from stamping.describe import findings, lines, path_of
from stamping.description import Unfit, describe
from stamping.questions import (
    Ask,
    ask_left_out,
    ask_names,
    ask_split,
    ask_target_kind,
    by_default,
    by_prompt,
)
from stamping.values import values_of

STOP_WITHIN_SECONDS = 60
OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "VIRTUAL_ENV"}
"""What this make, or this Python, would hand on to the project's."""


class Failed(Exception):
    """Why there is no trained project, in one line."""


@click.command()
@click.argument("csv")
@click.argument("target")
@click.option("--out", type=click.Path(path_type=Path), default=Path(".."))
@click.option("--yes", is_flag=True, help="Ask nothing.")
def main(csv: str, target: str, out: Path, yes: bool) -> None:
    """Stamp a project out for a table, train its model and ask it for predictions."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    if not csv or not target:
        sys.exit("usage: make new CSV=history.csv TARGET=column [OUT=..] [YES=1]")
    try:
        answers = answers_for(path_of(csv), target, by_default if yes else by_prompt)
        project = out.expanduser().resolve() / answers["project_slug"]
        make(project, answers)
    except (Failed, Unfit) as error:
        sys.exit(f"new: {error}")
    except (KeyboardInterrupt, click.Abort):
        sys.exit("\nnew: stopped; nothing was left behind")
    say(f"done, in {time.monotonic() - started:.0f} s. To run it:")
    click.echo(f"\n  cd {shlex.quote(str(project))} && make up")


def answers_for(path: Path, target: str, ask: Ask) -> dict[str, str]:
    """The answers for a table, of which is said what is taken, and what was seen.

    Raises:
        Unfit: nothing can be predicted from it, and why.
    """
    say(f"reading {path.name}")
    found = describe(path, target)
    click.echo("\n  ".join(lines(found)))
    table = values_of(found)
    kind = ask_target_kind(table, ask)
    table = replace(table, kinds=table.kinds | {table.target: kind})
    split, remarks = findings(table)
    click.echo("\n".join(["", *remarks, ""]))
    left_out = ask_left_out(found, ask)
    features = [str(each.field) for each in found.features if each.name not in left_out]
    answers = {
        **found.answers(),
        "features": " ".join(features),
        "target": f"{table.target}:{kind}",
    }
    answers["split"] = ask_split(answers, table, split, ask)
    return {**answers, **ask_names(path.stem, ask)}


def make(project: Path, answers: dict[str, str]) -> None:
    """Stamp the project out, set it up, train it and have it answer.

    Raises:
        Failed: something of this went wrong; the project is left as far as it is.
        KeyboardInterrupt: stopped; nothing is left.
    """
    if project.exists():
        raise Failed(f"{project} is there already; remove it, or say another OUT=")
    with removed_if_stopped(project):
        say(f"stamping out {project}")
        stamp_out(project.parent, answers)
        say("setting up, training, and asking for predictions: make demo")
        command = ["make", "--no-print-directory", f"UV={Path(sys.executable).parent / 'uv'}"]
        status, _ = run([*command, "demo"], cwd=project)
    if status:
        there = f"cd {shlex.quote(str(project))}"
        if is_refused(project):
            raise Failed(
                "training has not made the model the current one, see above:"
                f" improve it, or take it as it is: {there} && make train FORCE=1 && make demo"
            )
        raise Failed(f"the project's demo failed, see above; mend it, then: {there} && make demo")


def stamp_out(out: Path, answers: dict[str, str]) -> None:
    """Stamp a project out into this folder, and print what was remarked on the history.

    Raises:
        Failed: cookiecutter could not.
    """
    options = ["--no-input", "--output-dir", str(out)]
    pairs = [f"{answer}={value}" for answer, value in answers.items()]
    status, output = run(
        [sys.executable, "-m", "cookiecutter", str(TEMPLATE), *options, *pairs], capture=True
    )
    if status:
        said = [line for line in output.splitlines() if line.strip()]
        raise Failed(f"the project could not be stamped out: {'; '.join(said)}")
    of_history = f"{answers['history']}: "
    click.echo(
        "".join(line for line in output.splitlines(True) if line.startswith(of_history)), nl=False
    )


def is_refused(project: Path) -> bool:
    """Whether training has stored a version, but not made it the current one."""
    model = project / "model" / ".venv" / "bin" / "model"
    if not model.exists():
        return False
    known = subprocess.run(  # noqa: S603 - the new project's own command, without a shell
        [model, "versions"], cwd=project, capture_output=True, encoding="utf-8", check=False
    )
    return known.stdout != "" and "*" not in [line[:1] for line in known.stdout.splitlines()]


def run(command: Sequence[str], cwd: Path | None = None, capture: bool = False) -> tuple[int, str]:
    """Run a command to its end: its exit status, and what it printed if that is captured.

    Stopped by Ctrl-C, this stops the command and everything that it has started first.
    """
    try:
        with stops_deferred():  # a process that is half started could not be stopped
            process = subprocess.Popen(  # noqa: S603 - our commands, without a shell
                command,
                cwd=cwd,
                env={name: value for name, value in os.environ.items() if name not in OF_MAKE},
                stdout=subprocess.PIPE if capture else None,
                stderr=subprocess.STDOUT if capture else None,
                encoding="utf-8",
                start_new_session=True,
            )
        output, _ = process.communicate()
    except KeyboardInterrupt:
        with stops_deferred(), contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=STOP_WITHIN_SECONDS)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return process.returncode, output or ""


@contextlib.contextmanager
def stops_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until this is done."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def removed_if_stopped(project: Path) -> Iterator[None]:
    """Remove the project, which was not there before, if Ctrl-C comes meanwhile."""
    made = [project, *(each for each in project.parents if not each.exists())][-1]
    try:
        yield
    except KeyboardInterrupt:
        with stops_deferred():
            shutil.rmtree(made, ignore_errors=True)
        raise


def say(step: str) -> None:
    """Say what begins."""
    click.secho(f"\n{step}", bold=True)


if __name__ == "__main__":
    main()

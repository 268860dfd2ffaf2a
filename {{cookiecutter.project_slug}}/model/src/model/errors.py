"""The one error of this package, and what is translated to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

Kinds = tuple[type[Exception], ...]
FAULTS: Kinds = (OSError, ValueError)
"""Of a file, or of what it holds."""


class ModelError(Exception):
    """What a person can put right; the text is one line that says what is wrong and what to do."""


@contextmanager
def explained(where: object, remedy: str = "", kinds: Kinds = FAULTS) -> Iterator[None]:
    """Say in one line what is wrong with a file or with what it holds.

    Args:
        where: what is at fault, mostly a path.
        remedy: what to do about it.
        kinds: the errors to explain.

    Raises:
        ModelError: in place of such an error.
    """
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except kinds as error:
        fault: object = getattr(error, "strerror", None) or error
        if isinstance(error, ValidationError):
            fault = ": ".join(filter(None, faults_of(error)[0]))
        elif not isinstance(error, FAULTS):
            fault = f"{type(error).__name__}: {error}"
        words = f"{' '.join(str(fault).split()):.500}"
        raise ModelError(f"{where}: {'; '.join(filter(None, (words, remedy)))}") from None


def faults_of(error: ValidationError) -> list[tuple[str, str]]:
    """Where each fault is, which is "" for the whole, and what it is."""
    return [
        (".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, "))
        for each in error.errors(include_url=False)
    ]

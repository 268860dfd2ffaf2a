"""Another version of the contract, spoken while one side has been replaced and one not yet.

A feature may come or go where it may be missing, or is derived from others: who does not know it
leaves it out, and who is not sent it goes without, or derives it. Nothing else may change.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Json, TypeAdapter, ValidationError

from contract.errors import ContractError
from contract.features import Derived
from contract.signature import FEATURES, TARGET, signature

Kinds = Mapping[str, str]
"""The kind of each feature by name, with a question mark where it may be missing."""


class Terms(NamedTuple):
    """What one side understands.

    Attributes:
        features: that it knows.
        derived: those of them that it derives itself if it is not sent them.
        target: likewise, of the one that is predicted.
    """

    features: Kinds
    derived: Sequence[str]
    target: Kinds

    def dump(self) -> str:
        """The terms as JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def parse(cls, text: object) -> "Terms":
        """The terms in JSON; raises ContractError if there are none."""
        try:
            return TERMS.validate_python(text)
        except ValidationError:
            raise ContractError("the contract of the other side cannot be read") from None


TERMS: TypeAdapter[Terms] = TypeAdapter(Json[Terms])
OURS = Terms(
    {each.name: each.kind + "?" * each.optional for each in FEATURES},
    [*Derived.model_fields],
    {TARGET.name: TARGET.kind},
)
"""The terms of this release."""
DISPENSABLE = [each.name for each in FEATURES if each.optional or each.name in OURS.derived]
"""The features that another side need not know."""
CALLER = {"signature": signature(), "may_ignore": ",".join(DISPENSABLE)}
"""What a request tells of its caller, in `parameters`: plain values, as the protocol has them."""


def differences(sender: Terms, receiver: Terms) -> list[str]:
    """What keeps one side from understanding what the other one sends; nothing, if it does."""
    faults = []
    if sender.target != receiver.target:
        faults.append(f"the target is {_kinds(receiver.target)}, not {_kinds(sender.target)}")
    for name, kind in sender.features.items():
        theirs = receiver.features.get(name)
        if theirs is None:
            if not (kind.endswith("?") or name in sender.derived):
                faults.append(f"{name} is not known to it, and is neither optional nor derived")
        elif theirs not in (kind, f"{kind}?"):
            faults.append(f"{name} is {theirs}, not {kind}")
    for name, kind in receiver.features.items():
        if name not in sender.features and not (kind.endswith("?") or name in receiver.derived):
            faults.append(f"it needs {name}, which is neither optional nor derived")
    return faults


def ignorable(parameters: Mapping[str, Any]) -> Sequence[str] | None:
    """The features that the caller of a request lets us ignore; None if it speaks our contract."""
    theirs, names = parameters.get("signature"), parameters.get("may_ignore", "")
    if theirs in (None, signature()):
        return None
    if not isinstance(theirs, str) or not isinstance(names, str):
        raise ContractError("`parameters.signature` or `parameters.may_ignore` is not a string")
    return names.split(",")


def _kinds(kinds: Kinds) -> str:
    return ", ".join(f"{name}:{kind}" for name, kind in kinds.items())

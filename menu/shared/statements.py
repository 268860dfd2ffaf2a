"""What a compiled model computes, as expressions of SQL; and as a function of PostgreSQL.

Run in the project's root. The features are columns of the table that TABLE names.
"""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from contract import FEATURES, TARGET
from contract.tensors import PROBABILITIES
from expressions import Expression, Forest, NotSupportedError, current_version, in_order

MOST_NODES = 200_000
"""Of trees: the SQL is 10 MB then, and takes seconds to read."""
ADDED_AT_ONCE = 500
"""SQLite reads no more than 1,000 operators within each other."""
MOST_ARGUMENTS = 100
"""Of a function in PostgreSQL: features with what is answered, or classes by name."""
OPERATORS = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "truediv": "({} / {})",
    "floor": "floor({})",
    # Beyond these PostgreSQL has an error in place of a number.
    "exp": "CASE WHEN {0} < -700 THEN 0 WHEN {0} > 700 THEN 1e304 ELSE exp({0}) END",
    "isnan": "{} IS NULL",
    "ge": "{} >= {}",
    "where": "CASE WHEN {} THEN {} ELSE {} END",
}


class Dialect(NamedTuple):
    """What differs between databases, with `{}` for a column or for what is listed."""

    double: str = "{}"
    text: str = "{}"
    greatest: str = "greatest({})"
    moment: str = "{}"
    boolean: str = "{}"
    factor: str = "{}"


POSTGRESQL = Dialect(
    "{}::float8",
    '{} COLLATE "C"',
    moment="extract(epoch FROM {})::float8",
    boolean="{}::int",
    # It has an error in place of a product that is next to nothing: this makes such a factor zero.
    factor="({} + 1e-300 - 1e-300)",
)


def column(name: str) -> str:
    """A column, which may be called like a word of SQL."""
    return f'"{name}"'


def string(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def number(value: float) -> str:
    """A number as a literal, exactly; without an exponent it might be a decimal."""
    digits = repr(float(value))
    return digits if "e" in digits else f"{digits}e0"


def tree(forest: Forest, columns: Sequence[str], double: str, root: int) -> str:
    """A tree as CASE. The larger side follows in the same one, so that few are within others."""
    leaves: dict[int, int] = {}

    def count(node: int) -> int:
        if node not in leaves:
            ways = forest.left[node], forest.right[node]
            leaves[node] = 1 if ways[0] < 0 else sum(map(count, ways))
        return leaves[node]

    def write(node: int) -> str:
        whens = ""
        while (left := forest.left[node]) >= 0:
            right, missing_left = forest.right[node], bool(forest.missing_left[node])
            to_left = count(left) <= count(right)
            sign, limit = ">" if missing_left else "<=", number(forest.threshold[node])
            test = f"{columns[forest.column[node]]} {sign} {limit}"
            if to_left == missing_left:  # and a comparison with NULL is not true, but NULL
                test = f"({test}) IS NOT TRUE"
            way, node = (left, right) if to_left else (right, left)
            whens += f"\nWHEN {test} THEN {write(way)}"
        value = double.format(number(forest.value[node]))
        return f"CASE{whens} ELSE {value} END" if whens else value

    return write(root)


def total(forest: Forest, columns: Sequence[str], double: str) -> str:
    """The sum of the base and of all trees."""
    if len(forest.left) > MOST_NODES:
        raise NotSupportedError(f"{len(forest.left)} nodes of trees are more than {MOST_NODES}")
    parts = [double.format(number(forest.base))]
    parts += [tree(forest, columns, double, root) for root in forest.roots]
    sums = (parts[at : at + ADDED_AT_ONCE] for at in range(0, len(parts), ADDED_AT_ONCE))
    return " + ".join(f"({' + '.join(each)})" for each in sums)


def steps_of(outputs: Sequence[Any], dialect: Dialect) -> tuple[list[dict[str, str]], list[str]]:
    """Levels of columns by name, each computed from those before; and the outputs from all."""
    steps, levels = in_order(outputs), list[dict[str, str]]()
    uses = Counter([*outputs, *outputs])  # for the class as well
    for each in steps:
        parts = [part for part in each.of if isinstance(part, Expression)]
        uses.update(parts * (2 if each.kind in ("forest", "exp") else 1))
    texts, depths = dict[Any, str](), dict[Any, int]()
    for place, each in enumerate(steps):
        of = [texts[it] if isinstance(it, Expression) else number(it) for it in each.of
              if isinstance(it, float | Expression)]  # fmt: skip
        if each.kind in ("number", "text"):
            text = column(each.of[0])
        elif each.kind == "lookup":
            known = {key: it for key, it in each.of[1].items() if it != each.of[2]}
            key = dialect.text.format(f"coalesce({of[0]}, '')" if "" in known else of[0])
            whens = [f" WHEN {string(key)} THEN {number(it)}" for key, it in known.items()]
            text = dialect.double.format(of[1])
            text = f"CASE {key}{''.join(whens)} ELSE {text} END" if whens else text
        elif each.kind == "forest":
            text = total(each.of[0], of, dialect.double)
        elif each.kind == "greatest":
            text = dialect.greatest.format(", ".join(of))
        else:
            if each.kind == "add" and of[0].startswith("(") and each.of[0].kind == "add":
                of[0] = of[0][1:-1]  # a long sum is no deep one
            if each.kind in ("mul", "truediv"):
                of = [dialect.factor.format(it) if isinstance(part, Expression) else it
                      for it, part in zip(of, each.of, strict=True)]  # fmt: skip
            text = OPERATORS[each.kind].format(*of)
        parts = [it for it in each.of if isinstance(it, Expression)]
        depth = max((depths[it] for it in parts), default=0)
        if uses[each] > 1 and each.kind not in ("number", "text"):
            levels += [{}] * (depth == len(levels))
            levels[depth][f"_{place}"] = text
            text, depth = f"_{place}", depth + 1
        texts[each], depths[each] = text, depth
    return levels, [texts.get(it) or number(it) for it in outputs]


class Version(NamedTuple):
    """A version to write: its name, its classes if it has any, what it computes, its table."""

    name: str
    classes: Sequence[str]
    outputs: Sequence[Any]
    table: str

    @property
    def function(self) -> str:
        """What it is called in the database; with 63 characters at most."""
        return f"predict_{TARGET.name}_{self.name}"

    @property
    def view(self) -> str:
        """What its view is called."""
        return f"{self.table[:39]}_predicted_{self.name}"

    def features(self) -> list[Any]:
        """The columns of the features that it uses."""
        names = {it.of[0] for it in in_order(self.outputs) if it.kind in ("number", "text")}
        return [each for each in FEATURES if each.name in names]

    def answers(self, texts: Sequence[str], object_: str) -> dict[str, str]:
        """What is answered, by name; the first class of the largest probability."""
        expected = f"expected_{TARGET.name}"
        if max(2 * len(self.classes), len(self.features()) + 2) > MOST_ARGUMENTS:
            raise NotSupportedError(f"functions have no more than {MOST_ARGUMENTS} arguments")
        if not self.classes:
            return {expected: texts[0]}
        whens = ""
        for place, each in enumerate(self.classes[:-1]):
            tests = (f"{texts[place]} >= {other}" for other in texts[place + 1 :])
            whens += f" WHEN {' AND '.join(tests)} THEN {self._class(each)}"
        parts = (f"{string(each)}, {it}" for each, it in zip(self.classes, texts, strict=True))
        best = f"CASE{whens} ELSE {self._class(self.classes[-1])} END"
        return {expected: best, PROBABILITIES: f"{object_}({', '.join(parts)})"}

    def _class(self, name: str) -> str:
        return name if TARGET.kind == "bool" else string(name)

    def source(self, dialect: Dialect) -> list[str]:
        """The features as columns of numbers and texts, from columns of `_t`."""
        forms = {"category": "{}", "datetime": dialect.moment, "bool": dialect.boolean}
        columns = {each: f"_t.{column(each.name)}" for each in self.features()}
        return [forms.get(each.kind, "{}").format(it) for each, it in columns.items()]


def postgresql_function(version: Version) -> str:
    """The statement that makes the function of a version in PostgreSQL."""
    names = [column(it.name) for it in version.features()]
    levels, texts = steps_of(version.outputs, POSTGRESQL)
    numbers = [column(it.name) for it in version.features() if it.kind != "category"]
    kinds = ["text" if it.kind == "category" else "float8" for it in version.features()]
    answers = version.answers(texts, "jsonb_build_object")
    kind = {"bool": "boolean", "category": "text"}.get(TARGET.kind, "float8")
    outs = [f"OUT {it} {'jsonb' if it == PROBABILITIES else kind}" for it in answers]
    variables = {it: text for level in levels for it, text in level.items()}
    body = {it: f"nullif({it}, 'NaN')" for it in numbers} | variables | answers
    lines = [
        f"CREATE FUNCTION {version.function}(",
        ", ".join([*(f"{it} {of}" for it, of in zip(names, kinds, strict=True)), *outs]),
        ") LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $predict$",
        "DECLARE",
        *(f"{it} float8;" for it in variables),
        "BEGIN",
        *(f"{it} := {text};" for it, text in body.items()),
        "END $predict$",
    ]
    return "\n".join(lines)


def current() -> Version:
    """The current version."""
    return Version(*current_version(), os.environ["TABLE"])

"""The current version in C: `generate.py FOLDER` writes it, `generate.py` only says if it can be.

Run in the project's root. It is `predict.h` and `predict.c`, which includes our `runtime.h`.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from expressions import Expression, Forest, NotSupportedError, current_version, in_order

from contract import FEATURES, MODEL_NAME
from model.errors import ModelError

MARK = 0x8000
MOST_NODES = 0xFFFF
KEYWORDS = """ auto break case char const continue default do double else enum extern float for goto
 if inline int long register restrict return short signed sizeof static struct switch typedef union
 unsigned void volatile while """
OPERATORS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "truediv": "{} / {}",
    "floor": "floor({})",
    "exp": "exp({})",
    "isnan": "isnan({})",
    "ge": "{} >= {}",
    "where": "{} ? {} : {}",
}


def member(name: str) -> str:
    """A feature's name in the struct."""
    return f"{name}_" if f" {name} " in KEYWORDS else name


def string(text: str) -> str:
    """A text as a literal, without trigraphs."""
    plain = (chr(it) if chr(it).isalnum() and it < 127 else f"\\{it:03o}" for it in text.encode())
    return f'"{"".join(plain)}"'


def number(value: float) -> str:
    """A number as a literal, exactly."""
    return f"N({float(value).hex()})"


def edge(value: float) -> str:
    """A threshold, exactly; and the largest float32 that is not above it."""
    below = np.float32(value)
    below = np.nextafter(below, np.float32(-np.inf)) if float(below) > value else below
    return f"EDGE({value.hex()}, {float(below).hex()})"


def array(kind: str, name: str, items: Iterable[Any]) -> str:
    """A constant array; in C it cannot be empty."""
    lines = ",\n    ".join(map(str, items)) or "0"
    return f"static const {kind} {name}[] = {{\n    {lines}}};\n"


def tables_of(forest: Forest, name: str) -> str:
    """The tables of a forest."""
    leaf = forest.left < 0
    inner = int(sum(~leaf))
    if len(leaf) > MOST_NODES:
        raise NotSupportedError(f"{len(leaf)} nodes of trees are more than {MOST_NODES}")
    place = np.where(leaf, inner + np.cumsum(leaf) - 1, np.cumsum(~leaf) - 1)
    edges, edge_of = np.unique(forest.threshold[~leaf], return_inverse=True)
    column = forest.column + MARK * forest.missing_left
    nodes = np.array([column, 0 * column, place[forest.left], place[forest.right]])[:, ~leaf]
    nodes[1] = edge_of
    names = [f"{name}_{part}" for part in ("edges", "leaves", "nodes", "roots")]
    counts = map(str, (len(edges), inner, len(forest.roots)))
    return "".join(
        [
            array("number", names[0], map(edge, edges.tolist())),
            array("number", names[1], map(number, forest.value[leaf])),
            array("node", names[2], (f"{{{', '.join(map(str, each))}}}" for each in nodes.T)),
            array("uint16_t", names[3], place[forest.roots]),
            f"static const forest {name} = {{{', '.join([*names, *counts])}}};\n",
        ]
    )


def code_of(outputs: Sequence[Any]) -> tuple[str, list[str]]:
    """The tables, and the statements by which `results` get the outputs."""
    tables, lines, names = "", [], dict[Expression, str]()
    steps = in_order(outputs)
    lookups = [each.of for each in steps if each.kind == "lookup"]

    def of(value: Any) -> str:
        return names[value] if isinstance(value, Expression) else number(value)

    for place, each in enumerate(steps):
        kind, parts = "int" if each.kind in ("text", "isnan", "ge") else "number", each.of
        if each.kind == "number":
            value = f"features->{member(parts[0])}"
        elif each.kind == "text":
            keys = sorted({key for text, known, _ in lookups if text is each for key in known})
            tables += array("char *const", f"texts_{place}", map(string, keys))
            value = f"find(features->{member(parts[0])}, texts_{place}, {len(keys)})"
        elif each.kind == "lookup":
            keys = sorted({key for text, known, _ in lookups if text is parts[0] for key in known})
            numbers = [*(parts[1].get(key, parts[2]) for key in keys), parts[2]]
            tables += array("number", f"lookup_{place}", map(number, numbers))
            value = f"lookup_{place}[{of(parts[0])}]"
        elif each.kind == "forest":
            tables += tables_of(parts[0], f"forest_{place}")
            ranks = ", ".join(f"rank(&forest_{place}, {of(part)})" for part in parts[1:])
            lines.append(f"const uint16_t ranks_{place}[] = {{{ranks}}};")
            value = f"add_trees({number(parts[0].base)}, &forest_{place}, ranks_{place})"
        elif each.kind == "greatest":
            lines.append(f"const number of_{place}[] = {{{', '.join(map(of, parts))}}};")
            value = f"of_{place}[largest(of_{place}, {len(parts)})]"
        else:
            value = OPERATORS[each.kind].format(*map(of, parts))
        names[each] = f"v{place}"
        lines.append(f"const {kind} v{place} = {value};")
    return tables, [*lines, f"const number results[] = {{{', '.join(map(of, outputs))}}};"]


def parts_of(version: str, classes: Sequence[str], outputs: Sequence[Any]) -> dict[str, str]:
    """What stands in the templates."""
    tables, lines = code_of(outputs)
    signature, names = "predict_number predict(const predict_features *features)", ""
    if classes:
        names = f"extern const char *const predict_classes[{len(classes)}];\n"
        tables += array("char *const", "predict_classes", map(string, classes))[len("static ") :]
        more = f"predict_number probabilities[{len(classes)}]"
        signature = f"int predict(const predict_features *features, {more})"
        lines += ["memcpy(probabilities, results, sizeof results);"]
    lines += [f"return {f'largest(results, {len(classes)})' if classes else 'results[0]'};"]
    members = (
        f"const char *{member(each.name)};"
        if each.kind == "category"
        else f"{'double' if each.kind == 'datetime' else 'predict_number'} {member(each.name)};"
        for each in FEATURES
    )
    return {
        "model": MODEL_NAME,
        "version": version,
        "members": "\n".join(f"    {each}" for each in members),
        "names": names,
        "signature": signature,
        "tables": tables,
        "lines": "\n".join(f"    {each}" for each in lines),
    }


def main(folder: Path | None) -> None:
    """Write the current version there."""
    parts = parts_of(*current_version())
    if folder:
        for template in Path(__file__).parent.glob("templates/*"):
            text = Template(template.read_text("utf-8")).substitute(parts)
            (folder / template.name).write_text(text, "utf-8")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    except (ModelError, NotSupportedError) as error:
        sys.exit(f"dishes/c: {error}")

"""Names that the stamped code has itself are refused as answers, whatever code comes later."""

import ast
import itertools
import re
from pathlib import Path

from conftest import ANSWERS, DEFAULTS, Stamp
from cookiecutter.utils import create_env_with_context
from describe import load_hook


def words(tree: ast.AST) -> set[str]:
    """Every name that the code binds or uses by itself (not as an attribute)."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name.partition(".")[0])
    return found


def bound(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module binds there."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return {statement.name}
    return words(statement)


def neighbours(project: Path, name: str) -> set[str]:
    """The names that would be in the way of a name, wherever the stamped code has it."""
    found = set()
    for path in project.rglob("*.py"):
        module = ast.parse(path.read_text("utf-8"))
        if name in words(module):
            for statement in module.body:
                inside = words(statement)
                found |= inside if name in inside else bound(statement)
    return {each for each in found if name not in each}


def class_mates(project: Path, field: str) -> set[str]:
    """The names in the bodies of the classes that have this field."""
    modules = (ast.parse(path.read_text("utf-8")) for path in project.rglob("*.py"))
    return {
        name
        for node in itertools.chain.from_iterable(map(ast.walk, modules))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(each, ast.AnnAssign) and field in bound(each) for each in node.body)
        for each in node.body
        for name in words(each)
    }


def is_free(answer: str, name: str) -> bool:
    """Whether such a name is accepted as the answer."""
    answers = ANSWERS | {"entity": "zebra", "__plural": "zebras", answer: name}
    return not load_hook(**answers).all_faults()


def test_no_name_of_the_stamped_code_is_free(stamp: Stamp, tmp_path: Path) -> None:
    features = "aardvark:float bison:category? camel:int? dingo:bool?"
    answers = {"features": features, "target": "emu:category", "history": "none"}
    project = stamp(tmp_path, entity="zebra", **answers)
    service = project / "service" / "src" / "service"

    fields = class_mates(project, "aardvark") | class_mates(project, "emu")
    assert {"id", "metadata"} < fields
    fields -= {"aardvark", "bison", "camel", "dingo", "emu"}
    assert not {name for name in fields if is_free("target", f"{name}:float")}

    modules = {path.stem for path in service.iterdir() if path.suffix in ("", ".py")}
    plurals = neighbours(project, "zebras") | modules
    assert {"settings", "predictors"} < plurals
    assert not {name for name in plurals - {"zebras"} if is_free("__plural", name)}

    environment = create_env_with_context({"cookiecutter": {}})
    class_of = environment.from_string(DEFAULTS["__entity_class"]).render
    classes = {name for name in neighbours(project, "Zebra") if not name.isupper()}
    entities = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in classes}
    assert {"base", "outcome"} < set(entities)
    assert not {
        entity
        for entity, name in entities.items()
        if class_of(cookiecutter={"entity": entity}) == name and is_free("entity", entity)
    }

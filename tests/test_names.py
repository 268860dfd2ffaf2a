"""Names that the stamped code has itself are rejected as answers, whatever code comes later."""

import ast
import itertools
import re
from pathlib import Path

import pytest
from conftest import DEFAULTS, Stamp, answers_with
from cookiecutter.utils import create_env_with_context
from pydantic import BaseModel

from stamping.answers import all_faults


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


def components(project: Path) -> set[str]:
    """The names under which schemas stand in the OpenAPI document, but for those of the entity."""
    modules = (ast.parse(path.read_text("utf-8")) for path in service(project).glob("*.py"))
    return {
        node.name
        for node in itertools.chain.from_iterable(map(ast.walk, modules))
        if isinstance(node, ast.ClassDef) and "BaseModel" in map(ast.unparse, node.bases)
        if "Zebra" not in node.name and not node.name.startswith("_")
    }


def tables(project: Path) -> set[str]:
    """The names of the tables, Alembic's own included."""
    text = "".join(path.read_text("utf-8") for path in service(project).rglob("0001_*.py"))
    return {"alembic_version", *re.findall(r'create_table\(\s*"(\w+)"', text)}


def routes(project: Path) -> set[str]:
    """The first part of every path that the service answers on, and the names of its blueprints."""
    text = "".join(path.read_text("utf-8") for path in service(project).glob("*.py"))
    paths = re.findall(r'(?:route|get|post)\(\s*"/([\w.]+)', text)
    return {*paths, *re.findall(r'APIBlueprint\(\s*"(\w+)"', text)}


def service(project: Path) -> Path:
    return project / "service" / "src" / "service"


def is_free(answer: str, name: str) -> bool:
    """Whether such a name is accepted as the answer."""
    answers = answers_with({"entity": "zebra", "__plural": "zebras", answer: name})
    return not all_faults(answers)


@pytest.fixture(scope="module")
def project(stamp: Stamp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in whose code the names of the answers cannot be mistaken for others."""
    features = "aardvark:float bison:category? camel:int? dingo:bool?"
    answers = {"features": features, "target": "emu:category", "history": "none"}
    return stamp(tmp_path_factory.mktemp("names"), entity="zebra", **answers)


def test_no_name_beside_a_field_is_free(project: Path) -> None:
    fields = class_mates(project, "aardvark") | class_mates(project, "emu")
    assert {"id", "metadata", "types"} < fields
    fields -= {"aardvark", "bison", "camel", "dingo", "emu"}
    assert not {name for name in fields if is_free("target", f"{name}:float")}


def test_no_attribute_of_the_base_classes_is_free() -> None:
    assert not [name for name in dir(BaseModel) if is_free("target", f"{name}:float")]


def test_the_plural_is_no_name_of_the_code_and_no_table_or_route_is_free(project: Path) -> None:
    assert not neighbours(project, "zebras")
    assert not [path for path in project.rglob("*") if "zebra" in path.name]
    taken = tables(project) | routes(project)
    assert {"zebras", "predictions", "readyz", "docs", "health"} < taken
    assert [name for name in sorted(taken) if is_free("__plural", name)] == ["zebras"]


def test_no_class_beside_the_entity_and_no_schema_is_free(project: Path) -> None:
    environment = create_env_with_context({"cookiecutter": {}})
    class_of = environment.from_string(DEFAULTS["__entity_class"]).render
    classes = {name for name in neighbours(project, "Zebra") if not name.isupper()}
    classes |= components(project)
    entities = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in classes}
    assert {"base", "outcome", "problem"} < set(entities)
    assert not {
        entity
        for entity, name in entities.items()
        if class_of(cookiecutter={"entity": entity}) == name and is_free("entity", entity)
    }

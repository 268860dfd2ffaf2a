"""Write into `build/` what is generated: the current version's graph, and its names and types."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx

from contract import FEATURES, TARGET
from contract.types import INVISIBLE, KINDS
from model.artifacts.manifest import ONNX_FILE, Manifest
from model.artifacts.opening import open_store
from model.artifacts.verification import verify
from model.errors import ModelError
from model.settings import load_settings

BUILD = Path(__file__).parent / "build"
NEWEST = {"": 25, "ai.onnx.ml": 5}
"""The newest operators of onnxruntime-react-native 1.24; onnxruntime-web 1.30 has newer ones."""
TENSORS = {"DOUBLE": "float64", "FLOAT": "float32", "STRING": "string"}
NUMBERS = {"float": "number", "int": "number"}
TYPES = {**NUMBERS, "bool": "boolean", "category": "string", "datetime": "Date"}


def current_version() -> tuple[Manifest, onnx.ModelProto]:
    """The current version and its graph, verified.

    Raises:
        ModelError: there is none, or ONNX Runtime for JavaScript cannot run it.
    """
    settings = load_settings()
    artifact = verify(open_store(settings).folder(), settings.model_verify_keys)
    version = f"version {artifact.manifest.version}"
    if ONNX_FILE not in artifact.manifest.files:
        raise ModelError(f"{version} is not compiled: {artifact.manifest.compiled.reason}")
    model = onnx.load_from_string(artifact.content)
    for each in model.opset_import:
        if each.version > NEWEST.get(each.domain, 0):
            operators = f"operators of {each.domain or 'ai.onnx'} {each.version}"
            raise ModelError(f"{version} uses {operators}, which ONNX Runtime on phones lacks")
    return artifact.manifest, model


def name_output(graph: onnx.GraphProto, name: str) -> None:
    """Name the last output, so that no package but that of this version can use the file."""
    graph.node.append(onnx.helper.make_node("Identity", [graph.output[-1].name], [name]))
    graph.output[-1].name = name


def typescript(manifest: Manifest, graph: onnx.GraphProto) -> Iterator[str]:
    """The lines of the module that says what goes in and what comes out."""
    classes = manifest.classes or []
    names = " | ".join(json.dumps(each, ensure_ascii=False) for each in classes)
    yield "export interface Features {"
    for each in FEATURES:
        mark, null = ("?", " | null") if each.optional else ("", "")
        yield f"  {each.name}{mark}: {TYPES[each.kind]}{null};"
    yield "}\nexport interface Prediction {"
    yield f"  {TARGET.name}: {names if TARGET.kind == 'category' else TYPES[TARGET.kind]};"
    if classes:
        yield f"  probabilities: Record<{names}, number>;"
    yield "  metadata: { model_version: string };\n}"
    shares = {name: each.shares or {} for name, each in manifest.observed.items()}
    features = {
        each.name: {
            "kind": each.kind,
            "optional": each.optional,
            "expected": KINDS[each.kind].expected,
            "known": [*shares.get(each.name, {})],
        }
        for each in FEATURES
    }
    model = {
        "version": manifest.version,
        "target": {"name": TARGET.name, "kind": TARGET.kind},
        "classes": classes,
        "features": features,
        "tensors": {each.name: tensor_type(each) for each in graph.input},
        "invisible": INVISIBLE,
    }
    yield f"export const MODEL = {json.dumps(model, ensure_ascii=False, indent=2)};"


def tensor_type(value: onnx.ValueInfoProto) -> str:
    """The type of an input, as ONNX Runtime for JavaScript calls it."""
    return TENSORS[onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)]


def main() -> None:
    """Write it; if the current version cannot be served, say why in one line."""
    try:
        manifest, model = current_version()
    except ModelError as error:
        sys.exit(f"javascript: {error}")
    BUILD.mkdir(exist_ok=True)
    (BUILD / "model.ts").write_text("\n".join([*typescript(manifest, model.graph), ""]), "utf-8")
    name_output(model.graph, manifest.version)
    (BUILD / "model.onnx").write_bytes(model.SerializeToString())


main()

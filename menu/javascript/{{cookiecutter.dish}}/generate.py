"""Write into `build/` what is generated: the current version's graph, and its names and types."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import onnx
from onnx import TensorProto as Proto

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
TENSORS = {Proto.DOUBLE: "float64", Proto.FLOAT: "float32", Proto.STRING: "string"}
TYPES = {"bool": "boolean", "category": "string", "datetime": "Date"}
"""Of the values in TypeScript; those of the other kinds are numbers."""


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
    if newer := [it for it in model.opset_import if it.version > NEWEST.get(it.domain, 0)]:
        operators = f"operators of {newer[0].domain or 'ai.onnx'} {newer[0].version}"
        raise ModelError(f"{version} uses {operators}, which ONNX Runtime on phones lacks")
    return artifact.manifest, model


def typescript(manifest: Manifest, graph: onnx.GraphProto) -> Iterator[str]:
    """The lines of the module that says what goes in and what comes out."""
    classes = manifest.classes or []
    names = " | ".join(json.dumps(each, ensure_ascii=False) for each in classes)
    yield "export interface Features {"
    for each in FEATURES:
        missing = "?: null |" if each.optional else ":"
        yield f"  {each.name}{missing} {TYPES.get(each.kind, 'number')};"
    yield "}\nexport interface Prediction {"
    target = names if TARGET.kind == "category" else TYPES.get(TARGET.kind, "number")
    yield f"  {TARGET.name}: {target};"
    if classes:
        yield f"  probabilities: Record<{names}, number>;"
    yield "  metadata: { model_version: string };\n}"
    known = {name: list(each.shares or {}) for name, each in manifest.observed.items()}
    model = {
        "version": manifest.version,
        "target": asdict(TARGET),
        "classes": classes,
        "features": [
            asdict(each) | {"expected": KINDS[each.kind].expected, "known": known.get(each.name)}
            for each in FEATURES
        ],
        "tensors": {each.name: TENSORS[each.type.tensor_type.elem_type] for each in graph.input},
        "invisible": INVISIBLE,
    }
    yield f"export const MODEL = {json.dumps(model, ensure_ascii=False, indent=2)};\n"


def main() -> None:
    """Write it; if the current version cannot be served, say why in one line."""
    try:
        manifest, model = current_version()
    except ModelError as error:
        sys.exit(f"javascript: {error}")
    (BUILD / "model.ts").write_text("\n".join(typescript(manifest, model.graph)), "utf-8")
    # Named as the version, the output is found by no package but that of the same version.
    last = model.graph.output[-1]
    model.graph.node.add(op_type="Identity", input=[last.name], output=[manifest.version])
    last.name = manifest.version
    (BUILD / "model.onnx").write_bytes(model.SerializeToString())


main()

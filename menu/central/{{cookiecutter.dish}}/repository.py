"""`repository.py FOLDER STORAGE`: the current version as platforms of others load it.

FOLDER/mlserver/NAME/   the version, and the code that its contract is in
FOLDER/triton/NAME/     the graph, whose tensors are of its own types
FOLDER/kserve/*.yaml    an InferenceService of either, for storage and images at STORAGE
"""

import json
import os
import shutil
import sys
from pathlib import Path
from string import Template

import onnxruntime as ort

import contract
import model
from contract import MODEL_NAME
from model.artifacts.manifest import ONNX_FILE
from model.artifacts.opening import open_store
from model.artifacts.verification import VerifiedArtifact, verify
from model.errors import ModelError
from model.settings import load_settings

HERE = Path(__file__).parent
BATCH = 4096
"""Rows that Triton puts together at most."""
TYPES = {
    "tensor(double)": "TYPE_FP64",
    "tensor(float)": "TYPE_FP32",
    "tensor(string)": "TYPE_STRING",
}


def main(folder: Path, storage: str) -> None:
    """Write the repository, in place of the one before."""
    settings = load_settings()
    artifact = verify(open_store(settings).folder(), settings.model_verify_keys)
    os.umask(0o022)  # it is for others to read
    shutil.rmtree(folder, ignore_errors=True)
    write_mlserver(artifact, folder / "mlserver" / MODEL_NAME)
    if reason := artifact.manifest.compiled.reason:
        print(f"only for MLServer, since the version is not compiled: {reason}", file=sys.stderr)
    else:
        write_triton(artifact, folder / "triton" / MODEL_NAME)
    values = {"name": MODEL_NAME, "version": artifact.manifest.version, "storage": storage}
    (folder / "kserve").mkdir()
    for path in (HERE / "kserve").iterdir():
        if (folder / path.stem).exists():
            text = Template(path.read_text("utf-8")).substitute(values)
            (folder / "kserve" / path.name).write_text(text, "utf-8")
    print(f"{folder}: version {artifact.manifest.version}")


def write_mlserver(artifact: VerifiedArtifact, folder: Path) -> None:
    """All that MLServer needs but the packages in requirements.txt."""
    version = artifact.manifest.version
    shutil.copytree(artifact.path, folder / version)
    for package in (contract, model):
        code = Path(package.__path__[0])
        shutil.copytree(code, folder / code.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("runtime.py", "requirements.txt"):
        shutil.copy(HERE / name, folder)
    settings = {
        "name": MODEL_NAME,
        "implementation": "runtime.Version",
        "parameters": {"uri": f"./{version}", "version": version},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=2), "utf-8")


def write_triton(artifact: VerifiedArtifact, folder: Path) -> None:
    """The graph and what Triton must know of it.

    Triton's versions are numbers, so this one's twelve hex digits are written in decimal.
    """
    version = artifact.manifest.version
    number = int(version, 16)
    (folder / str(number)).mkdir(parents=True)
    (folder / str(number) / ONNX_FILE).write_bytes(artifact.content)
    session = ort.InferenceSession(artifact.content, providers=["CPUExecutionProvider"])
    tensors = [("input", each) for each in session.get_inputs()]
    tensors += [("output", session.get_outputs()[-1])]
    lines = [
        f'name: "{MODEL_NAME}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {BATCH}",
        "dynamic_batching { }",
        f"version_policy {{ specific {{ versions: [ {number} ] }} }}",
        f'parameters {{ key: "version" value {{ string_value: "{version}" }} }}',
    ]
    for kind, each in tensors:
        columns = each.shape[1]  # the first is that of the rows
        one = f'name: "{each.name}" data_type: {TYPES[each.type]} dims: [ {columns} ]'
        lines.append(f"{kind} {{ {one} }}")
    (folder / "config.pbtxt").write_text("\n".join([*lines, ""]), "utf-8")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2].rstrip("/"))
    except ModelError as error:
        sys.exit(f"central: {error}")

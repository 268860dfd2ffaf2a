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
    for platform in ("mlserver", "triton"):
        if (folder / platform).exists():
            name = f"kserve/{platform}.yaml"
            fill(name, folder / name, artifact, storage=storage)
    print(f"{folder}: version {artifact.manifest.version}")


def fill(layout: str, path: Path, artifact: VerifiedArtifact, **values: object) -> None:
    """Write a file of `layouts/` with these values, the name and the version."""
    text = Template((HERE / "layouts" / layout).read_text("utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {"name": MODEL_NAME, "version": artifact.manifest.version}
    path.write_text(text.substitute(values, **known), "utf-8")


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
    """The graph, and what Triton must know of it."""
    number = int(artifact.manifest.version, 16)
    graph = folder / str(number) / ONNX_FILE
    graph.parent.mkdir(parents=True)
    graph.write_bytes(artifact.content)
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    tensors = [f"input {_tensor(each)}" for each in session.get_inputs()]
    tensors.append(f"output {_tensor(session.get_outputs()[-1])}")
    config = folder / "config.pbtxt"
    fill(config.name, config, artifact, number=number, tensors="\n".join(tensors))


def _tensor(node: ort.NodeArg) -> str:
    """A tensor in Triton's words, which leave out that there are as many rows as there are."""
    fields = f'name: "{node.name}" data_type: {TYPES[node.type]} dims: [ {node.shape[1]} ]'
    return "{ " + fields + " }"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2].rstrip("/"))
    except ModelError as error:
        sys.exit(f"central: {error}")

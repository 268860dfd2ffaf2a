"""Triton's layout, as far as it can be told without a Triton."""

import json
import subprocess

import onnxruntime as ort
from conftest import DISH, REPOSITORY

from contract import MODEL_NAME
from model.artifacts.manifest import Manifest

TYPES = {
    "TYPE_FP64": "tensor(double)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_STRING": "tensor(string)",
}
PARSE = """
import sys
from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig
print(json_format.MessageToJson(text_format.Parse(sys.stdin.read(), ModelConfig())))
"""


def test_the_configuration_is_tritons_and_has_the_tensors_of_the_graph(manifest: Manifest) -> None:
    folder = REPOSITORY / "triton" / MODEL_NAME
    if manifest.compiled.reason:
        assert not folder.exists()
        return
    parsed = subprocess.run(
        [str(DISH / ".venv/bin/python"), "-c", PARSE],
        input=(folder / "config.pbtxt").read_text("utf-8"),
        check=True,
        capture_output=True,
        text=True,
    )
    config = json.loads(parsed.stdout)
    assert (config["name"], config["backend"]) == (MODEL_NAME, "onnxruntime")
    (number,) = config["versionPolicy"]["specific"]["versions"]
    assert f"{int(number):012x}" == manifest.version
    assert config["parameters"]["version"]["stringValue"] == manifest.version

    session = ort.InferenceSession(folder / number / "model.onnx")
    inputs, outputs = session.get_inputs(), {each.name: each for each in session.get_outputs()}
    tensors = [*config["input"], *config["output"]]
    assert [each["name"] for each in config["input"]] == [each.name for each in inputs]
    for each, own in zip(tensors, [*inputs, outputs[tensors[-1]["name"]]], strict=True):
        assert TYPES[each["dataType"]] == own.type
        assert isinstance(own.shape[0], str | None)  # as many rows as there are
        assert [int(size) for size in each["dims"]] == own.shape[1:]


def test_each_inference_service_names_the_version(manifest: Manifest) -> None:
    names = {path.name: path.read_text("utf-8") for path in (REPOSITORY / "kserve").iterdir()}
    assert names.keys() == {"mlserver.yaml"} | {"triton.yaml"} - {
        manifest.compiled.reason and "triton.yaml"
    }
    for text in names.values():
        assert f'version: "{manifest.version}"' in text
        assert "$" not in text

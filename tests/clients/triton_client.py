"""Talks to a private model server with tritonclient; run with .venv-clients' Python."""

import json
import sys

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

MODEL = "order-wait-times"
url, token, rows = sys.argv[1].removeprefix("http://"), sys.argv[2], json.loads(sys.argv[3])
headers = {"Authorization": f"Bearer {token}"}
KINDS = {"hour": np.float64, "day": np.object_, "distance": np.float64, "items": np.int64}
DATATYPES = {np.float64: "FP64", np.object_: "BYTES", np.int64: "INT64"}


def inputs(names: list[str]) -> list[InferInput]:
    """The tensors of these features, in JSON."""
    tensors = []
    for name in names:
        data = np.array([row[name] for row in rows], dtype=KINDS[name])
        tensor = InferInput(name, list(data.shape), DATATYPES[KINDS[name]])
        tensor.set_data_from_numpy(data, binary_data=False)
        tensors.append(tensor)
    return tensors


client = InferenceServerClient(url)
seen = {
    "live": client.is_server_live(headers=headers),
    "ready": client.is_server_ready(headers=headers)
    and client.is_model_ready(MODEL, headers=headers),
}
metadata = client.get_model_metadata(MODEL, headers=headers)
wanted = [InferRequestedOutput(metadata["outputs"][0]["name"], binary_data=False)]
result = client.infer(MODEL, inputs(list(KINDS)), outputs=wanted, headers=headers)
seen["predictions"] = result.as_numpy("wait_seconds").tolist()
try:
    client.infer(MODEL, inputs(["day", "distance", "items"]), headers=headers)
except InferenceServerException as error:
    seen["error"] = error.message()
print(json.dumps(seen))

"""The compiled model behind LitServe: `python compiled.py`."""

import os

import litserve as ls
import numpy as np
from onnxruntime import InferenceSession, SessionOptions


class WaitAPI(ls.LitAPI):
    def setup(self, device):
        """Load the model, once a worker."""
        options = SessionOptions()
        options.intra_op_num_threads = 1
        self.session = InferenceSession(
            os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request):
        """What the model is fed for one row."""
        return {
            "hour": np.array([[request["hour"]]], dtype=np.float64),
            "day": np.array([[request["day"]]], dtype=object),
            "distance": np.array([[request["distance"]]], dtype=np.float64),
            "items": np.array([[request["items"]]], dtype=np.float64),
        }

    def predict(self, feed):
        """The prediction for it."""
        return self.session.run(None, feed)[0]

    def encode_response(self, output):
        """As JSON."""
        return {"prediction": output.item()}


if __name__ == "__main__":
    server = ls.LitServer(WaitAPI(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)

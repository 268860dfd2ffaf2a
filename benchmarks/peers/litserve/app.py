"""A scikit-learn model behind LitServe, as its documentation shows: `python app.py`."""

import os

import joblib
import litserve as ls
import pandas as pd


class WaitAPI(ls.LitAPI):
    def setup(self, device):
        """Load the model, once a worker."""
        self.model = joblib.load(os.environ["MODEL_FILE"])

    def decode_request(self, request):
        """A frame of one row."""
        return pd.DataFrame([request])

    def predict(self, frame):
        """The prediction for it."""
        return self.model.predict(frame)

    def encode_response(self, output):
        """As JSON."""
        return {"prediction": float(output[0])}


if __name__ == "__main__":
    server = ls.LitServer(WaitAPI(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)

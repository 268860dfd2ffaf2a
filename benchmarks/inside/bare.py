"""Run by the project's own Python: rows a second of nothing but ONNX Runtime, on one thread.

The arrays are in memory before the clock starts, and the predictions stay there.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

DTYPES = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(string)": np.object_}

if __name__ == "__main__":
    file, question = sys.argv[1:]
    asked = json.loads(Path(question).read_text())
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = InferenceSession(file, options, providers=["CPUExecutionProvider"])
    batch = [asked["rows"][each % len(asked["rows"])] for each in range(asked["batch"])]
    feed = {
        each.name: np.array([[row[each.name]] for row in batch], dtype=DTYPES[each.type])
        for each in session.get_inputs()
    }
    session.run(None, feed)
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < asked["seconds"]:
        session.run(None, feed)
        done += asked["batch"]
    print(json.dumps(done / elapsed))

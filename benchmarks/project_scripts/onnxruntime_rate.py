"""Run by the project's own Python: rows a second of nothing but ONNX Runtime, on one thread.

The arrays are in memory before the clock starts, and the predictions stay there.
"""

import sys
import time

import numpy as np
import pandas as pd
from onnxruntime import InferenceSession, SessionOptions

DTYPES = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(string)": np.object_}

if __name__ == "__main__":
    model_file, history = sys.argv[1:3]
    batch_rows, seconds = map(int, sys.argv[3:])
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = InferenceSession(model_file, options, providers=["CPUExecutionProvider"])
    rows = pd.read_csv(history, float_precision="round_trip")
    arrays = {
        each.name: np.resize(rows[each.name].to_numpy(DTYPES[each.type]), (batch_rows, 1))
        for each in session.get_inputs()
    }
    session.run(None, arrays)
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        session.run(None, arrays)
        done += batch_rows
    print(done / elapsed)

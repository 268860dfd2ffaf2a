"""The private model: trained, judged, kept in versions and served to one caller."""

import os

# ONNX Runtime would send telemetry from a thread, which also keeps a forked process from ending. It
# looks at this once, when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

"""The model server as a function of AWS Lambda: an event in, the answer of the application out.

What stands here at import is done once for each environment that Lambda starts.
"""

import os
from pathlib import Path
from typing import Any

from mangum import Mangum

from model import logs
from model.artifacts.verification import verify
from model.engines.loading import Model, log_version
from model.serving.access import tokens_of
from model.serving.app import create_app
from model.serving.metrics import Metrics
from model.settings import load_settings

settings = load_settings()
logs.configure(settings)
(folder,) = Path(os.environ["LAMBDA_TASK_ROOT"], "artifacts").iterdir()
model = Model.of(verify(folder, settings.model_verify_keys))
log_version(model.manifest)
metrics = Metrics(model.manifest, settings.revision)
application = Mangum(create_app(model, tokens_of(settings), settings, metrics), lifespan="off")


def handler(event: Any, context: Any) -> dict[str, Any]:
    """The answer to a request by a Function URL or an API Gateway."""
    try:
        return application(event, context)
    finally:
        metrics.flush()  # where there is no worker to do it

"""The version in an MLServer: it says what the project's own model server says.

MLServer finds this file beside `model-settings.json`, with the packages `contract` and `model`.
"""

from pathlib import Path

from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse
from mlserver.utils import get_model_uri

from contract import ContractError
from model.engines.loading import Model
from model.serving import protocol
from model.settings import load_settings


class Version(MLModel):
    """One version, verified and tested before it answers."""

    async def load(self) -> bool:
        """Load what `parameters.uri` names; MODEL_VERIFY_KEYS is honoured."""
        folder = Path(await get_model_uri(self.settings))
        self._model = Model.load(folder, load_settings().model_verify_keys)
        return True

    async def metadata(self) -> MetadataModelResponse:
        """What it is, with the signature that the service compares."""
        return MetadataModelResponse.model_validate(protocol.metadata(self._model))

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The predictions for a batch of rows; 400 for what breaks the contract."""
        try:
            request = protocol.read_request(payload.model_dump(mode="json", exclude_none=True))
        except ContractError as error:
            raise InferenceError(str(error)) from None
        predictions = self._model.predict(request.columns)
        response = protocol.response_of(self._model, request, predictions)
        return InferenceResponse.model_validate(response)

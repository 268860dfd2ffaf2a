"""The one thing that the service and the model share: what they send each other.

`Features` goes in, `Prediction` comes out; `tensors` turns both into Open Inference Protocol
messages and back; `signature` is the digest that both sides compare before they trust each other.
"""

from contract.errors import ContractError
from contract.examples import Golden, examples, golden
from contract.features import Derived, Features, Inputs, LookedUp, assemble
from contract.prediction import Prediction
from contract.signature import FEATURES, INPUTS, MODEL_NAME, TARGET, Column, signature

__all__ = [
    "FEATURES",
    "INPUTS",
    "MODEL_NAME",
    "TARGET",
    "Column",
    "ContractError",
    "Derived",
    "Features",
    "Golden",
    "Inputs",
    "LookedUp",
    "Prediction",
    "assemble",
    "examples",
    "golden",
    "signature",
]

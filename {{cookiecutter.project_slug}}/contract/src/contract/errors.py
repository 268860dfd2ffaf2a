"""The one error of this package."""


class ContractError(ValueError):
    """A message that breaks the contract.

    Attributes:
        tensor: the tensor at fault, or None when the fault lies with the whole message.
        fault: what is wrong with it, in a sentence without a full stop.
    """

    def __init__(self, fault: str, tensor: str | None = None) -> None:
        super().__init__(f"{tensor}: {fault}" if tensor else fault)
        self.tensor = tensor
        self.fault = fault

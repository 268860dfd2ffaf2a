"""Rows as scikit-learn gets them: built in one place for training and for serving."""

import pandas as pd

from model.answer import Columns, arrays_of


def frame_of(columns: Columns) -> pd.DataFrame:
    """One column per feature, in the order of the contract, as `model.answer.arrays_of` has it."""
    return pd.DataFrame(
        {name: pd.Series(array, dtype=array.dtype) for name, array in arrays_of(columns).items()}
    )

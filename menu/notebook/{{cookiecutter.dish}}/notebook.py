# %% [markdown]
"""# The current version: how wrong is it, and does a change help?

Run it from top to bottom; then edit `changed`, and run the end again. What turns out to be better
goes into `model/src/model/pipeline.py`, and `make train` makes a version of it.
"""

# %%
import os
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from contract import FEATURES
from model.artifacts.manifest import METRIC, MODEL_FILE, TASK
from model.artifacts.opening import open_store
from model.artifacts.verification import check_whole, verify
from model.columns import text_of, to_arrays
from model.engines.loading import Model
from model.engines.sklearn import SklearnEngine
from model.settings import load_settings
from model.training.evaluation import judge, slices_of
from model.training.fitting import fit
from model.training.history import read_history
from model.training.intervals import difference
from model.training.losses import losses_of
from model.training.outliers import reject_outliers
from model.training.splitting import past_and_later

while not Path("contract").is_dir():  # whatever opens a notebook, opens it in its own folder
    os.chdir("..")

# %% [markdown]
"""## The current version

`version` is what serves, compiled if it can be; `reference` is scikit-learn's own pipeline. Both
are verified before they are loaded.
"""

# %%
settings = load_settings()
folder, keys = open_store(settings).folder(), settings.model_verify_keys
artifact = verify(folder, keys)
manifest = artifact.manifest
version = Model.of(artifact)
reference = SklearnEngine.load(check_whole(folder, keys, MODEL_FILE))
print(f"version {manifest.version}, trained on {manifest.data.rows} rows")
print(f"{version.engine.name} answers: {manifest.fallback} is its fallback")
display(reference.pipeline)

# %% [markdown]
"""## Its errors

The version has learnt from all rows, so it is judged as `make train` does it: the same pipeline,
fitted to the past rows alone, predicts the later ones.
"""

# %%
history, _ = reject_outliers(read_history(Path("data/history.csv")))
past, later = map(history.part, past_and_later(history))
arrays = to_arrays(later.columns)


def current() -> Any:
    """The pipeline of the current version, not fitted."""
    return clone(reference.pipeline)


def later_losses(build: Any) -> Any:
    """The loss of each later row; their mean is the METRIC."""
    return losses_of(fit(build(), past).predict(arrays), later.targets)


losses = later_losses(current)
figure, axes = plt.subplots()
axes.hist(losses, bins=50)
axes.axvline(losses.mean(), color="black", label=f"{METRIC} {losses.mean():.4g}")
axes.set(title=f"version {manifest.version}", xlabel="loss of a later row", ylabel="rows")
axes.legend()
plt.show()

# %%
numbers = [each.name for each in FEATURES if each.kind in ("float", "int", "datetime")]
values = {f"{name} is {text_of(it) or 'missing'}": rows for name, it, rows in slices_of(later, 10)}
for name in numbers:
    known = np.flatnonzero(~np.isnan(arrays[name]))
    for rows in np.array_split(known[np.argsort(arrays[name][known], kind="stable")], 5):
        if len(rows):
            low, high = arrays[name][rows[[0, -1]]]
            values[f"{name} from {low:.6g} to {high:.6g}"] = rows
figure, axes = plt.subplots(figsize=(7, 1 + len(values) / 4))
axes.barh([*values], [losses[rows].mean() for rows in values.values()])
axes.axvline(losses.mean(), color="black")
axes.invert_yaxis()
axes.set(title=f"version {manifest.version}", xlabel=f"{METRIC} of the later rows where")
plt.show()

# %% [markdown]
"""## A change of the pipeline"""


# %%
def changed() -> Any:
    """The pipeline to try, not fitted: edit this."""
    forest: Any = RandomForestRegressor if TASK == "regression" else RandomForestClassifier
    return current().set_params(estimator=forest(min_samples_leaf=5, random_state=0))


# %%
judged = {f"version {manifest.version}": judge(current, past, later, [])}
judged["changed"] = judge(changed, past, later, [])
found = {name: each[0] for name, each in judged.items() if each}
display(pd.DataFrame({name: each.metrics for name, each in found.items()}))
gain = difference(later_losses(changed), losses)
if gain:
    verdict = "no telling" if gain.low <= 0 <= gain.high else "worse" if gain.mean > 0 else "better"
    interval = f"95 % interval {gain.low:+.4g} to {gain.high:+.4g}"
    print(
        f"changed is {verdict}: its {METRIC} is {gain.mean:+.4g} of {manifest.version} ({interval})"
    )

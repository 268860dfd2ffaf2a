"""Run by the model's own Python: promotes a version and rolls back, in turn, at set moments.

Nothing of the command line's own start and checks falls into what is measured.
"""

import json
import sys
import time

from model.artifacts.log import version_before
from model.artifacts.opening import open_store
from model.settings import load_settings

if __name__ == "__main__":
    new, *times = sys.argv[1:]
    store = open_store(load_settings())
    done = []
    for number, moment in enumerate(map(float, times)):
        time.sleep(max(moment - time.monotonic(), 0))
        began = time.monotonic()
        if number % 2:
            version = version_before(store.history())
            store.promote(version, action="rollback")
        else:
            version = new
            store.promote(version)
        done.append((began, version))
    print(json.dumps(done))

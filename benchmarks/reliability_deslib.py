"""DESlib's measures of diversity, for ``benchmarks/reliability.py``, in an environment of its own.

    PYTHON_WITH_DESLIB benchmarks/reliability_deslib.py FILE.npz STEP

Reads ``labels`` and ``predictions`` [versions, count], and computes the four measures that DESlib
and nversion both have, of every STEP-th pair of versions. Prints JSON: seconds of the processor,
and the values.
"""

from __future__ import annotations

import itertools
import json
import sys
import time

import numpy as np
from deslib.util.diversity import (
    Q_statistic,
    correlation_coefficient,
    disagreement_measure,
    double_fault,
)

MEASURES = {
    "q": Q_statistic,
    "correlation": correlation_coefficient,
    "disagreement": disagreement_measure,
    "double_fault": double_fault,
}


def main() -> None:
    """Measure and print."""
    with np.load(sys.argv[1]) as stored:
        labels, predictions = stored["labels"], stored["predictions"]
    pairs = list(itertools.combinations(range(len(predictions)), 2))[:: int(sys.argv[2])]
    start = time.process_time()
    values = {
        name: [float(measure(labels, predictions[i], predictions[j])) for i, j in pairs]
        for name, measure in MEASURES.items()
    }
    seconds = time.process_time() - start
    sys.stdout.write(json.dumps({"seconds": seconds, "pairs": len(pairs), "values": values}))


if __name__ == "__main__":
    main()

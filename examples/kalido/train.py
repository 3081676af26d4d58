"""Trains a classifier of descriptions on the split `train` of stemma.yaml, tests it on `test`, and writes its coefficients.

    train.py MODEL [LOCK]

The rows are those that LOCK pins, stemma.lock unless it is given. The model is a JSON file: equal data make equal bytes.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

import stemma


def main(model: str, lock: str | None = None) -> None:
    """Reads the splits, trains, tests, and writes the model."""
    warnings.simplefilter("ignore", stemma.SchemaWarning)  # client_data has columns that are not trained on
    data = stemma.load("stemma.yaml", split="train", frozen=True, lock=lock)
    test = stemma.load("stemma.yaml", split="test", frozen=True, lock=lock)
    words = HashingVectorizer(n_features=64)
    fit = LogisticRegression().fit(words.transform(data["description"]), data["skill"])
    right = float((fit.predict(words.transform(test["description"])) == test["skill"]).mean())
    Path(model).write_text(
        json.dumps({"rows": len(data), "classes": fit.classes_.tolist(), "coefficients": fit.coef_.tolist(), "intercept": fit.intercept_.tolist()})
    )
    for item, n in data["_source"].value_counts(sort=False).items():
        print(f"{n} rows of {item}")
    print(f"trained on {len(data)} rows, right in {right:.0%} of {len(test)}: {model}")


if __name__ == "__main__":
    main(*sys.argv[1:])

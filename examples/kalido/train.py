"""Trains a classifier of client records on the files of a split, and writes its coefficients.

    train.py DIRECTORY MODEL

The model is a JSON file: equal data make equal bytes.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression


def main(directory: str, model: str) -> None:
    """Reads client_data and labels from the directory, trains, and writes the model."""
    clients = pd.read_parquet(Path(directory) / "client_data.parquet")
    labels = pd.read_parquet(Path(directory) / "labels.parquet")
    data = clients.merge(labels, on="id", validate="one_to_one").sort_values("id")
    features = HashingVectorizer(n_features=64).fit_transform(data["description"])
    fit = LogisticRegression().fit(features, data["skill"])
    Path(model).write_text(
        json.dumps({"rows": len(data), "classes": fit.classes_.tolist(), "coefficients": fit.coef_.tolist(), "intercept": fit.intercept_.tolist()})
    )
    print(f"trained on {len(data)} rows: {model}")


if __name__ == "__main__":
    main(*sys.argv[1:])

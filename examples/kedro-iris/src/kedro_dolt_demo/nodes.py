"""The functions of the pipelines: Kedro's starter of the iris data, with its seed for shuffling fixed."""

import logging
from typing import Any

import numpy as np
import pandas as pd

CLASSES = ("setosa", "versicolor", "virginica")

log = logging.getLogger(__name__)


def split_data(data: pd.DataFrame, example_test_data_ratio: float) -> dict[str, Any]:
    """Splits the data into features and one-hot classes of a training and a test part."""
    data.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width", "target"]
    data = data.sample(frac=1, random_state=2021).reset_index(drop=True)
    n_test = int(len(data) * example_test_data_ratio)
    classes = pd.DataFrame({c: (data["target"] == c).astype(int) for c in CLASSES})
    x = data.drop(columns="target")
    return {
        "train_x": x.iloc[n_test:],
        "train_y": classes.iloc[n_test:],
        "test_x": x.iloc[:n_test],
        "test_y": classes.iloc[:n_test],
    }


def train_model(train_x: pd.DataFrame, train_y: pd.DataFrame, iterations: int, rate: float) -> np.ndarray:
    """Trains a multi-class logistic regression, one class against the others each, and returns its weights."""
    x = np.concatenate((np.ones((len(train_x), 1)), train_x.to_numpy()), axis=1)
    weights = []
    for c in train_y.columns:
        theta, y = np.zeros(x.shape[1]), train_y[c].to_numpy()
        for _ in range(iterations):
            theta -= rate * (x.T @ (1 / (1 + np.exp(-(x @ theta))) - y)) / len(x)
        weights.append(theta)
    return np.vstack(weights).T


def predict(model: np.ndarray, test_x: pd.DataFrame) -> np.ndarray:
    """Returns the number of the class of each row."""
    x = np.concatenate((np.ones((len(test_x), 1)), test_x.to_numpy()), axis=1)
    return np.argmax(x @ model, axis=1)


def report_accuracy(predictions: np.ndarray, test_y: pd.DataFrame) -> None:
    """Logs the share of rows whose class was predicted."""
    share = np.mean(predictions == np.argmax(test_y.to_numpy(), axis=1))
    log.info("Model accuracy on test set: %0.2f%%", share * 100)


def count_classes(labels: pd.DataFrame) -> None:
    """Logs how many rows each class has."""
    log.info("%d labels: %s", len(labels), labels.sum().to_dict())

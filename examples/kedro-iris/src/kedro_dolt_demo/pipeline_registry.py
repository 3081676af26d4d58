"""The pipelines of the project."""

from kedro.pipeline import Pipeline, node, pipeline

from kedro_dolt_demo.nodes import count_classes, predict, report_accuracy, split_data, train_model


def register_pipelines() -> dict[str, Pipeline]:
    """Returns the pipelines by name; `select` reads the test labels of the branch new."""
    engineering = pipeline(
        [
            node(
                func=split_data,
                inputs=["example_iris_data", "params:example_test_data_ratio"],
                outputs={
                    "train_x": "example_train_x",
                    "train_y": "example_train_y",
                    "test_x": "example_test_x",
                    "test_y": "example_test_y",
                },
                name="split",
            )
        ]
    )
    science = pipeline(
        [
            node(
                func=train_model,
                inputs=["example_train_x", "example_train_y", "params:example_num_train_iter", "params:example_learning_rate"],
                outputs="example_model",
                name="train",
            ),
            node(func=predict, inputs=["example_model", "example_test_x"], outputs="example_predictions", name="predict"),
            node(func=report_accuracy, inputs=["example_predictions", "example_test_y"], outputs=None, name="report"),
        ]
    )
    select = pipeline([node(func=count_classes, inputs="iris_predictions", outputs=None, name="count")])
    return {"engineering": engineering, "science": science, "select": select, "__default__": engineering + science}

"""Iris, with its training and test data in a database."""

"""Predictions for files of rows: a table in, a table out, and a file of the rows rejected."""

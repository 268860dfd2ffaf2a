"""Predictions for rows in bulk: a table in, a table out, and a file of what was set aside."""

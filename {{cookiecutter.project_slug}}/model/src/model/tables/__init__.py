"""Files of rows, CSV or Parquet, and the values in their cells."""

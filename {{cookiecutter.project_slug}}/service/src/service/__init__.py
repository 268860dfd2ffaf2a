"""The product: its public API, its database, and the only caller of the model."""

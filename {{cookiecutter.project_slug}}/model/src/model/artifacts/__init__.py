"""The versions of the model on disk: an immutable folder each, and which one is current."""

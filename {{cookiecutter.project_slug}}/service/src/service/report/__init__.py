"""One page about a season of predictions: who served them, how good they were, what has changed."""

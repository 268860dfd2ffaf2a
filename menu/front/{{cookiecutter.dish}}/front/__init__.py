"""One front-end before many model servers: cache, validation, enrichment and dispatch."""

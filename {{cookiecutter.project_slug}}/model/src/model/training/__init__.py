"""From a history to a new version: read, fitted on the past, judged on the later part, compiled."""

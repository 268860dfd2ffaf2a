"""The private server: the Open Inference Protocol over HTTP, and in process for `library:`."""

"""The server in front of the application: an event loop reads requests, threads answer them."""

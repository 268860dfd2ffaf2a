"""What `make chaos` is made of: a pair of its own, load on it, and what goes wrong with them."""

"""Drop-in auth= objects that always have a token the server accepts."""

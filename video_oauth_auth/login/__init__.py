"""Signing in: the browser, the loopback receiver, device codes, ID tokens."""

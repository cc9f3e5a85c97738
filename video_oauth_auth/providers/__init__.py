"""Platforms: what is known about each, as data."""

"""The auth objects against servers that others wrote. Run by `make interop`, never by a plain `pytest`."""

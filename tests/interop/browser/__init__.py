"""Debian's Chromium without a window, and the pages that it meets."""

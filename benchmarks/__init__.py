"""Measures video_oauth_auth beside other libraries and beside a static header: `make bench`."""

"""For `python -m video_oauth_auth.cli`."""

from . import main

main()

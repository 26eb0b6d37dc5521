"""The port `web`, by httpx2 (the extra `http`)."""

"""Tells pytest where the fixture `ohmesh_mesh` is."""

pytest_plugins = ["ohmesh.testing.pytest_plugin"]

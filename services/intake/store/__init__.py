"""Intake's own tables and explicit SQL, one file for each concern."""

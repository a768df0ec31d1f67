"""Predictions come in; text, tables, queries, tags, plots and pages for people and programs go out."""

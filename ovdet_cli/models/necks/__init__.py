"""Backbone maps -> feature pyramid."""

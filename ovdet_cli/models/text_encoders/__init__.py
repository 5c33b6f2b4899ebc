"""Sentences -> text embeddings."""

"""Words in, text embeddings out."""

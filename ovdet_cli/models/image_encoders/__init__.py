"""Pictures -> embeddings in the space of their captions."""

"""Region features x text embeddings -> class scores."""

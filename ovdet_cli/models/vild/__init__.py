"""ViLD: region embeddings distilled from CLIP (arXiv:2104.13921)."""

"""Training: data in, a model of ours out; the published recipes, and the scenes that the built-in model learns from."""

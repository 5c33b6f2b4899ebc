"""F-VLM: detection on a frozen vision-language model (arXiv:2209.15639)."""

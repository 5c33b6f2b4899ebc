"""PyTorch modules of the published detectors, their key maps and weights; the folders stand in data order."""

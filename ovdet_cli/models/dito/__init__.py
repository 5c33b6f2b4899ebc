"""DITO: region-centric pretraining for open-vocabulary detection (arXiv:2310.00161)."""

"""Detic (arXiv:2201.02605): configuration, assembly and key map."""

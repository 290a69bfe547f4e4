"""Distances between sets of features or spectra, each with its error bar."""

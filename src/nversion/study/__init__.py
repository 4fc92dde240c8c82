"""One whole experiment: configuration in, artefacts and results out."""

"""The adversarial set: build, filter, save, load and show it."""

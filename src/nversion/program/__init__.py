"""The N-version program: several versions and a voter, as one model."""

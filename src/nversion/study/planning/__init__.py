"""What a study would do and take, before anything is started."""

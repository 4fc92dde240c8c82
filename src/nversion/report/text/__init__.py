"""What the report says in words and tables: sentences that claim only what the numbers bear."""

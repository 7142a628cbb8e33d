"""What operators do about jobs."""

"""What is told as JSON, by the command and by the web service."""

"""What the services have in common: pure records and rules, and one module per outside client."""

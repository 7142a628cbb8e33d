"""Changes of the membership: asked for, decided, carried out, followed."""

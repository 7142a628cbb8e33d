"""Damage: looked for, set aside, mended from other copies."""

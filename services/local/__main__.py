"""`python -m services.local` is `tritontube`."""

from services.local.cli import main

main()

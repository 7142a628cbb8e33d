"""The command `tritontube-admin`."""

"""What people do on pages and in the platform API, one file a noun; every call asks ``domain.permissions`` first."""

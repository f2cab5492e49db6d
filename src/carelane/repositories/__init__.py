"""Cloud stores we fill; still empty."""

"""Apps as an adopter writes them."""

"""What travels and what is stored, as bytes that are checked before they are used."""

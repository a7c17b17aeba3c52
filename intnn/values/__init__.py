"""What everything is made of: checked arrays, domains of integers, lookup tables, and rounding."""

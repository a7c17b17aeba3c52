"""What everything is made of: arrays that are checked, domains of integers, lookup tables, rounding."""

"""From modules and files to programs of ATen's operators, in float64."""

"""What runs within the walls: a loop that executes cells. The standard library alone, and packages that are there."""

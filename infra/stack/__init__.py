"""`assistantd up`: every part of the server on one machine, started in parallel, watched, stopped in order."""

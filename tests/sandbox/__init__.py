"""The code interpreter's service, through HTTP as the worker uses it, and attacked from inside."""

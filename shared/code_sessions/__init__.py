"""Sessions of the code interpreter: which files are where, and since when. The sandbox has them."""

"""Sessions of the code interpreter: which files are where, and since when. The sessions themselves are the sandbox's."""

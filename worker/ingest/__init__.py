"""Reading the files of vector stores: text, cut into chunks by tokens. Other formats are refused by name."""

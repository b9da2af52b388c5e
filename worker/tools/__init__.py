"""Tools that the server carries out itself: offered to the model as functions, told to clients by their own names."""

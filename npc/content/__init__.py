"""What ships with the engine: the action library and the characters (top-level folders actions/ and characters/)."""

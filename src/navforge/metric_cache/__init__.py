"""What scoring needs of a scene, as flat arrays in memory (`scene`) and in one file per log (`store`)."""

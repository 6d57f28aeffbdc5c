"""The run folder: where a training run keeps what it is, how far it is and what became of it. No torch here."""

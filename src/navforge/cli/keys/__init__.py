"""Keys of the verbs, a module each, which load neither torch nor compiled code: help and errors are immediate."""

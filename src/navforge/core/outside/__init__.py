"""Files from outside: the one way to open what a user, a download or a damaged disk may have put in a file's place."""

"""Train, score and compare end-to-end driving planners on the NAVSIM benchmark."""

"""What every other package stands on: errors, configuration, files, provenance, parallel work."""

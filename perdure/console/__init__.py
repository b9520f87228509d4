"""What the command line shows and takes."""

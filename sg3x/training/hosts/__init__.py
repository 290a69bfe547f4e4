"""Several processes as one run: launching them, joining them, agreeing between them."""

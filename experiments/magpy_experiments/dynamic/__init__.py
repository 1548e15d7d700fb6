"""What a program whose sizes and numbers change costs: graphs, recordings, eager calls."""

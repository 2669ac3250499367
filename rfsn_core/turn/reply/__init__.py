"""What a model's reply is made of, taken apart while it streams: one module for each kind of thing."""

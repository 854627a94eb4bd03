"""What a model may call, under which names, and how a call is checked."""

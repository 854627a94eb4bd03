"""The model's side: conversation, models, the loop, and the doors that open onto it."""

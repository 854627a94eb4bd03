"""`greenroom ci`: the bot."""

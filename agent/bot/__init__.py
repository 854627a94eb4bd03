"""The CI bot: from an event on a forge to a proved pull request, or an honest comment."""

class SettingsError(Exception):
    """A setting that is missing or makes no sense; the message is shown to the operator."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name

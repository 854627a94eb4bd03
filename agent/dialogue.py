"""The conversation of an attempt: append-only within an epoch, and recorded as it grows."""

from collections.abc import Sequence

from agent.codec import message_data
from agent.conversation import AssistantMessage, Message, object_in
from agent.trajectory import Recorder


class Dialogue:
    """The messages of the epoch, and the recorder that gets each one."""

    def __init__(self, recorder: Recorder, messages: Sequence[Message] = ()) -> None:
        self._recorder = recorder
        self._messages = list(messages)

    @property
    def messages(self) -> Sequence[Message]:
        return self._messages

    @property
    def grown(self) -> bool:
        """Whether there is more than an epoch's opening, so that a new epoch can be shorter."""
        return any(isinstance(message, AssistantMessage) for message in self._messages)

    def say(self, message: Message) -> None:
        """Appends a message."""
        self._messages.append(message)
        self._recorder.emit("message", message=message_data(message))

    def begin(self, reason: str, messages: Sequence[Message], **more: object) -> None:
        """A new epoch: these messages replace all before them."""
        self._messages = list(messages)
        data = [message_data(message) for message in messages]
        self._recorder.emit("epoch", reason=reason, messages=data, **more)


def last_words(message: AssistantMessage) -> str:
    """What the model said as it ended its turn: its text, else the summary of its last call."""
    said = message.text
    if not said.strip() and message.calls:
        said = str((object_in(message.calls[-1].arguments) or {}).get("summary", ""))
    return " ".join(said.split())[:300]

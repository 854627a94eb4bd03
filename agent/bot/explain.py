"""What the model says of its own patch, for the reader of the pull request.

An attempt ends as soon as its tests are green and proved, often before the model has said a word of
it; so it is asked once more, apart from the attempt, with the report and the patch before it.
"""

from agent.conversation import SystemMessage, UserMessage
from agent.models.base import Model, Sampling, TurnDone, Usage

_SYSTEM = SystemMessage(
    "You explain a change of code to the person who reviews it: plainly, briefly, without praise."
)
_ASKED = """\
A change was made for what stands below, and the tests pass with it.

{words}

The change:

{diff}

Say in at most five sentences what was wrong, what was changed, and why that mends it. No headings,
no lists, no code."""
#: Characters of the words and of the patch that are shown, and tokens that the answer may have.
_MOST_WORDS, _MOST_DIFF, _MOST_TOKENS = 12_000, 20_000, 4_000


def can_explain(model: Model) -> bool:
    """Whether a model has words of its own: neither a script nor one that only ranks edits."""
    return model.info.real and model.info.name != "embedded"


async def explained(model: Model, words: str, diff: str) -> tuple[str, Usage]:
    """The model's words on `diff`, made for the task in `words`, and what they cost. Raises
    ModelError where it gives no answer."""
    text = _ASKED.format(words=words[:_MOST_WORDS], diff=diff[:_MOST_DIFF])
    done: TurnDone | None = None
    sampling = Sampling(max_output_tokens=_MOST_TOKENS)
    async for event in model.generate((_SYSTEM, UserMessage(text)), (), sampling):
        if isinstance(event, TurnDone):
            done = event
    return (done.message.text.strip(), done.usage) if done else ("", Usage())

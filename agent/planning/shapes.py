"""The shape of a model: what its size in memory follows from, and nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameters:
    """How many parameters a model has, by how quantisers and tensor parallelism treat them.

    `embedding` is what a token is looked up in, and `head` what gives the scores, 0 where both are
    one. `linear` are the matrices of attention, of dense layers and of shared experts, `experts`
    those of the routed experts, `expert_biases` their biases; `routers` choose among them. `other`
    are norms, biases and sinks.
    """

    embedding: int
    head: int
    linear: int
    experts: int = 0
    expert_biases: int = 0
    routers: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        parts = (self.embedding, self.head, self.linear, self.experts, self.expert_biases)
        return sum(parts) + self.routers + self.other


@dataclass(frozen=True)
class Shape:
    """One model.

    `windows` has a number for each layer: how many tokens it looks back on, 0 for all of them.
    `cached` is how many numbers a layer keeps of a token: keys and values, or with `latent` the
    compressed form that multi-head latent attention keeps. `context` is the longest text in tokens.
    `widest` is the most numbers that a layer holds of a token while it computes.
    """

    model_type: str
    hidden: int
    vocabulary: int
    windows: tuple[int, ...]
    heads: int
    kv_heads: int
    cached: int
    context: int
    widest: int
    parameters: Parameters
    experts: int = 0
    active_experts: int = 0
    expert_layers: int = 0
    latent: bool = False

    @property
    def layers(self) -> int:
        return len(self.windows)

    @property
    def active(self) -> int:
        """Parameters that compute one token, as OpenAI counts them (gpt-oss model card, table 1):
        of the experts those that are chosen, and not the embedding, which is only looked up."""
        parts = self.parameters
        idle = 0
        if self.experts:
            routed = parts.experts + parts.expert_biases
            idle = routed * (self.experts - self.active_experts) // self.experts
        # An embedding that is also the head computes.
        return parts.total - idle - (parts.embedding if parts.head else 0)

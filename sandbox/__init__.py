"""Disposable containers: policy, image, supervisor, patches. Knows nothing of models, tools or tasks."""

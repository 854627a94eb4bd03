"""Disposable containers: policy, image, supervisor, patches; no models, tools or tasks."""

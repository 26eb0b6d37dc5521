"""The frozen vocabulary: what everyone means by a task, an agent, a message, a frame."""

"""What a process of the mesh does: asyncio over ports, with the decisions taken from protocols and policies."""

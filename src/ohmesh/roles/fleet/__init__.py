"""The roles of the fleet: agents' processes with their leads and coordinators, and the orchestrator."""

"""The verbs, each once: what a command is (command, parameter), which there are (commands), what they take and answer
(arguments, results), and what they do over a client (tasks, mesh). Every door is made of these.
"""

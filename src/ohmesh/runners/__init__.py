"""User code runs here and only here: in spawned, warm processes that are reached by frames.

pool      what a host talks to: ports.runner.Runner      group     processes of one sort and their queue
process   one child, from outside                        custody   the tasks it holds, recalled exactly
page      shared memory: who is guilty, finished results child     the process itself, with its two loops
"""

"""NATS with JetStream as the engine: `engine.py` connects to a server or cluster, `embedded.py` starts one as a child.

engine      bus, log, state and blobs of one mesh; opens everything below
bus log state watch bucket blobs           the four ports
jetstream                                  the requests to the server that they need
connection requests offline wire transport one connection that always comes back
embedded readiness ownership tether binary server_config     the server as a child
credentials runtime_file translation config                  keys, the meeting point, errors, bounds
"""

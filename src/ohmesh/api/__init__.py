"""The door for HTTP: the verbs of the registry under /v1, and the endpoints that users of older queues know.

    application    puts the parts together
    routes         an address for each verb, by rule
    verbs          what a request to such an address does
    mesh_events    what happens in the mesh, task_events: one task until its end; as streams (event_stream)
    queue_routes   /submit-task, /enqueue, /status, /result, /workers
    gate           who may ask: host, origin, token, rate, size
    problems       every refusal as application/problem+json
    catalogue      what each error code means, as pages
    openapi        the description for programs;  pages: the one for people
    idempotency    a request that is repeated is answered once

It speaks to the mesh as a client and keeps nothing that matters: whoever ends it loses no task. FastAPI and uvicorn are
an extra (`pip install 'ohmesh[api]'`) and are imported by what runs the door, never by `import ohmesh`.
"""

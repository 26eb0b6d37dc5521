"""The ASGI application: an address for each verb, the endpoints of the older queue, pages, probes, the gate around."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ohmesh.api import health, mesh_events, queue_routes, task_events
from ohmesh.api.catalogue import catalogue
from ohmesh.api.door import Door, base_of, json_response
from ohmesh.api.event_stream import MEDIA_TYPE as EVENT_STREAM
from ohmesh.api.gate import Gate
from ohmesh.api.idempotency import HEADER
from ohmesh.api.openapi import Schemas, answers, describe, key_parameter, verb_extra
from ohmesh.api.pages import docs_page, error_page, errors_page
from ohmesh.api.problems import problem_response
from ohmesh.api.routes import ID_PATTERN, PREFIX, Address, addresses
from ohmesh.api.verbs import endpoint_of
from ohmesh.errors import BodyRefused, MethodRefused, NoSuchAddress, OhmeshError
from ohmesh.operations.commands import COMMANDS

_QUEUE_TYPES = (
    queue_routes.QueueTask,
    queue_routes.QueueStatus,
    queue_routes.QueueWorker,
    queue_routes.Receipt,
)


def build_application(door: Door, *, version: str) -> FastAPI:
    application = FastAPI(title="ohmesh", version=version, openapi_url=None, docs_url=None, redoc_url=None)
    found = addresses(COMMANDS)
    schemas = Schemas(found, door.config, _QUEUE_TYPES)
    for address in found:
        _add_verb(application, door, address, schemas)
    _add_queue(application, door, schemas)
    _add_streams(application, door)
    _add_pages(application, door, found, schemas)
    application.add_exception_handler(HTTPException, _http_problem)
    application.add_exception_handler(RequestValidationError, _form_problem)
    application.add_middleware(Gate, door=door)
    if door.config.allowed_origins:  # outside of the gate: a browser's preflight carries no token
        application.add_middleware(
            CORSMiddleware,
            allow_origins=door.config.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=["Location", "Link", "Retry-After", "RateLimit", "RateLimit-Policy"],
        )
    return application


def _add_verb(application: FastAPI, door: Door, address: Address, schemas: Schemas) -> None:
    verb, endpoint, extra = address.verb, endpoint_of(door, address), verb_extra(address, schemas)
    if address.path == mesh_events.PATH:
        endpoint = mesh_events.paged_or_streamed(door, endpoint)
        extra["responses"]["200"]["content"][EVENT_STREAM] = {"schema": {"type": "string"}}
    application.add_api_route(
        address.path,
        endpoint,
        methods=[address.method],
        operation_id=address.name,
        summary=verb.summary,
        description=f"{verb.help or verb.summary}\n\nOn the command line: `{verb.example}`",
        tags=[verb.words[0] if len(verb.words) > 1 else verb.scope.value],
        response_class=Response,
        openapi_extra=extra,
    )


def _add_queue(application: FastAPI, door: Door, schemas: Schemas) -> None:
    for method, path, handler in queue_routes.ENDPOINTS:
        application.add_api_route(
            path,
            _bound(handler, door),
            methods=[method],
            operation_id=f"queue{path.partition('{')[0].rstrip('/').replace('/', '_').replace('-', '_')}",
            tags=["older queue"],
            response_class=Response,
            openapi_extra=_queue_extra(method, path, schemas),
        )


def _add_streams(application: FastAPI, door: Door) -> None:
    for path, handler, name, summary, description in task_events.STREAMS:
        application.add_api_route(
            path,
            _bound(handler, door),
            methods=["GET"],
            operation_id=name,
            summary=summary,
            description=description,
            tags=["tasks"],
            response_class=Response,
            openapi_extra={
                "parameters": [_task_id_parameter()],
                "responses": answers({"type": "string"}, media_type=EVENT_STREAM),
            },
        )


def _bound(handler: queue_routes.Handler, door: Door) -> Any:
    """FastAPI reads signatures, so the door is bound and not a parameter."""

    async def endpoint(request: Request) -> Response:
        return await handler(door, request)

    return endpoint


def _queue_extra(method: str, path: str, schemas: Schemas) -> dict[str, Any]:
    if path == "/workers":
        return {"responses": answers({"type": "array", "items": schemas.of(queue_routes.QueueWorker)})}
    if method == "GET":
        return {
            "parameters": [_task_id_parameter()],
            "responses": answers(schemas.of(queue_routes.QueueStatus)),
        }
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
            "task_type": {"type": "string", "default": queue_routes.DEFAULT_TYPE},
        },
    }
    content = (
        {"multipart/form-data": {"schema": form}}
        if path == "/enqueue"
        else {"application/json": {"schema": schemas.of(queue_routes.QueueTask)}}
    )
    return {
        "parameters": [key_parameter()],
        "requestBody": {"required": True, "content": content},
        "responses": answers(schemas.of(queue_routes.Receipt)),
    }


def _task_id_parameter() -> dict[str, Any]:
    shape = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": ID_PATTERN}
    return {"name": "task_id", "in": "path", "required": True, "schema": shape}


def _add_pages(application: FastAPI, door: Door, found: list[Address], schemas: Schemas) -> None:
    readiness = health.Readiness(door)
    others = [("GET", task_events.PATH)] + [(method, path) for method, path, _ in queue_routes.ENDPOINTS]
    document = describe(application, schemas)

    async def docs(request: Request) -> Response:
        return docs_page(found, others, base_of(request))

    async def openapi(_request: Request) -> Response:
        return json_response(document)

    async def all_errors(_request: Request) -> Response:
        return errors_page()

    async def one_error(request: Request) -> Response:
        page = catalogue().get(request.path_params["code"])
        if page is None:
            raise NoSuchAddress(f"There is no error code {request.path_params['code']!r}.")
        return error_page(page)

    async def home(_request: Request) -> Response:
        return RedirectResponse(f"{PREFIX}/docs")

    pages: dict[str, Callable[[Request], Awaitable[Response]]] = {
        f"{PREFIX}/docs": docs,
        f"{PREFIX}/openapi.json": openapi,
        "/errors": all_errors,
        "/errors/{code}": one_error,
        "/livez": health.live,
        "/readyz": partial(health.ready, readiness),
        "/": home,
    }
    for path, page in pages.items():
        application.add_route(path, page, include_in_schema=False)


def _http_problem(request: Request, error: Exception) -> Response:
    """What the router and the parser of forms refuse."""
    assert isinstance(error, HTTPException)
    problem: OhmeshError = BodyRefused(str(error.detail))
    if error.status_code == NoSuchAddress.http_status:
        problem = NoSuchAddress(f"Nothing is served at {request.url.path[:200]}.")
    elif error.status_code == MethodRefused.http_status:
        problem = MethodRefused(f"{request.url.path[:200]} does not take {request.method}.")
    return problem_response(problem, base=base_of(request), headers=error.headers)


def _form_problem(request: Request, error: Exception) -> Response:
    return problem_response(BodyRefused(str(error)), base=base_of(request))

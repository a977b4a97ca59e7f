"""HTTP: what agencies, hubs, operators and commissioners ask of allocation."""

from fastapi import APIRouter

routers: tuple[APIRouter, ...] = ()

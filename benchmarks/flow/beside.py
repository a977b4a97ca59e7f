"""The usual way, measured at its own saturation on the same servers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.flow import usual
from benchmarks.flow.load import Outcome, post
from benchmarks.flow.run import PATIENCE, Figures
from benchmarks.flow.stack import OWN, Measured, cpu
from deploy.local.invented import referral
from deploy.local.place import CHECKOUT, PREFERRED_PORTS, is_free

CONNECTIONS = 16
IDLE_SECONDS = 5
PARTITIONS = 4


async def usual_way(stack: Measured, count: int) -> Figures:
    """Post referrals as fast as they are taken, wait for the last feed entry.

    What the servers spend on Onefriend's idle services meanwhile is measured before and taken off.
    """
    async with _processes(stack) as (processes, port):
        connection = await asyncpg.connect(stack.own)
        try:
            return await _phase(stack, processes, port, connection, count)
        finally:
            await connection.close()


@asynccontextmanager
async def _processes(stack: Measured) -> AsyncIterator[tuple[dict[str, psutil.Process], int]]:
    """Run the four services; ready inside the block."""
    await _topics(stack.stack.broker)
    port = next(n for n in range(20_000, 32_000) if is_free(n) and n not in PREFERRED_PORTS.values())
    children = {name: _start(stack, name, port) for name in usual.SERVICES}
    try:
        async with httpx.AsyncClient() as http:
            for _ in range(300):
                try:
                    await http.get(f"http://127.0.0.1:{port}/")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        await asyncio.sleep(4)  # the groups of consumers settle
        yield {name: psutil.Process(child.pid) for name, child in children.items()}, port
    finally:
        for child in children.values():
            child.kill()
            child.wait()


def _start(stack: Measured, name: str, port: int) -> subprocess.Popen[bytes]:
    arguments = ["-m", "benchmarks.flow.usual", name, stack.own, stack.stack.broker, str(port)]
    return subprocess.Popen([sys.executable, *arguments], cwd=CHECKOUT)


async def _topics(broker: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(usual.PREFIX + topic, PARTITIONS, 1) for topic in usual.TOPICS])
    finally:
        await admin.close()


def _spent(stack: Measured, processes: dict[str, psutil.Process]) -> dict[str, float]:
    """Return CPU seconds: of its own processes, of the database for it and in the background, of the broker."""
    shared = stack.cpu_seconds()
    servers = {part: shared.get(part, 0.0) for part in (f"postgres for {OWN}", "postgres", "kafka")}
    return {name: cpu(process) for name, process in processes.items()} | servers


async def _fed(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    sql = "SELECT count(DISTINCT \"case\") FROM notifications.feed WHERE kind = 'case.allocated'"
    found: int = await connection.fetchval(sql)
    return found


async def _phase(
    stack: Measured,
    processes: dict[str, psutil.Process],
    port: int,
    connection: asyncpg.Connection[asyncpg.Record],
    count: int,
) -> Figures:
    draw = random.Random(7)
    bodies = [json.dumps(referral(draw, number)).encode() for number in range(count)]
    await _through(port, connection, bodies[:10], 10)
    resting = _spent(stack, processes)
    await asyncio.sleep(IDLE_SECONDS)
    before = _spent(stack, processes)
    idle = {part: (before[part] - resting[part]) / IDLE_SECONDS for part in ("postgres", "kafka")}
    began = time.perf_counter()
    outcome, settled = await _through(port, connection, bodies[10:], count)
    seconds = time.perf_counter() - began
    after = _spent(stack, processes)
    spent = {part: max(0.0, after[part] - before[part] - idle.get(part, 0.0) * seconds) for part in after}
    fed = await _fed(connection) - 10
    return Figures(
        name="the usual way",
        referrals=count - 10,
        seconds=seconds,
        cpu=spent,
        outcome=outcome,
        stages={"in the feed": fed},
        settled=settled,
        load=os.getloadavg()[0],
    )


async def _through(
    port: int, connection: asyncpg.Connection[asyncpg.Record], bodies: list[bytes], wanted: int
) -> tuple[Outcome, bool]:
    outcome = await post(
        port,
        "/v1/referrals",
        lambda: "Content-Type: application/json\r\n",
        bodies,
        rate=None,
        connections=CONNECTIONS,
    )
    last, moved = -1, time.monotonic()
    while (now := await _fed(connection)) < wanted:
        if now != last:
            last, moved = now, time.monotonic()
        if time.monotonic() - moved > PATIENCE:
            return outcome, False
        await asyncio.sleep(0.2)
    return outcome, True

import asyncio

from exporter.web.protocol import PIECE
from tests.crowd import GET, crowd
from tests.scripted import Script


async def test_a_connection_reads_no_more_than_is_parsed_at_once() -> None:
    """What asyncio has as its measure costs memory that is mapped and unmapped for each request."""
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        client = await visitors.connect(GET)
        assert await client.status() == 200
        (handler,) = visitors.server._connections._open  # type: ignore[union-attr]
        assert handler.transport.max_size == PIECE  # type: ignore[union-attr]

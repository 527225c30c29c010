"""`subscribe`: what comes through a real socket, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import zmq
from conftest import DEADLINE, SESSION, Proxy, ledger, relay_end, update

from atomwire import LEDGER_TOPIC, Ledger, RelayEnd, SessionEnd, SessionStart, Update, subscribe

if TYPE_CHECKING:
    from conftest import Bus

    from atomwire import Subscription


def test_updates_come_in_order_and_frozen(bus: Bus) -> None:
    with subscribe(bus.endpoint) as updates:
        bus.await_subscriber()
        for seq in range(100):
            bus.publish(update(seq))
        received = [next(updates) for _ in range(100)]
    assert [message.seq for message in received] == list(range(100))
    with pytest.raises(AttributeError):
        received[0].key = "other"  # type: ignore[misc]


def test_a_topic_is_a_prefix(bus: Bus) -> None:
    with subscribe(bus.endpoint, "atom-updates.c") as updates:
        bus.await_subscriber("atom-updates.c")
        for topic in ("atom-updates", "atom-updates.user", "atom-updates.cart"):
            bus.publish(update(), topic)
        assert next(updates).topic == "atom-updates.cart"


def test_the_ledger_comes_when_asked_for(bus: Bus) -> None:
    with subscribe(bus.endpoint, ledger=True) as messages:
        bus.await_subscriber("atom-updates", LEDGER_TOPIC)
        bus.publish(update())
        bus.publish(ledger(lost=[{"first": 1, "last": 2, "reason": "queue_full"}]), LEDGER_TOPIC)
        bus.publish(ledger(1, end=True, next_seq=3, reason="closed"), LEDGER_TOPIC)
        bus.publish(ledger(2, start=True, next_seq=3), LEDGER_TOPIC)
        bus.publish(relay_end(3), LEDGER_TOPIC)
        received = [type(next(messages)) for _ in range(5)]
        assert received == [Update, Ledger, SessionEnd, SessionStart, RelayEnd]


def test_the_ledger_stays_away_even_from_a_subscription_to_all(bus: Bus) -> None:
    with subscribe(bus.endpoint, "") as updates:
        bus.await_subscriber("")
        bus.publish(ledger(end=True, next_seq=3, reason="closed"), LEDGER_TOPIC)
        bus.publish(update(5))
        assert next(updates).seq == 5


def test_bad_messages_are_skipped_counted_and_logged(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "atomwire"), subscribe(bus.endpoint) as updates:
        bus.await_subscriber()
        bus.publish(b"{'key'")
        bus.publish(update(key="\x1b[31m\nlevel=error" * 400))
        bus.publish(b" " * (1024 * 1024 + 1))  # over the limit, yet the connection stays
        bus.send([b"atom-updates", b"{}", b"one too many"])
        bus.publish(b"[]")
        bus.publish(update(5))
        assert next(updates).seq == 5
        assert updates.bad == {
            "payload: not a JSON object": 2,
            "key: longer than 4096 bytes": 1,
            "payload: longer than 1048576 bytes": 1,
            "frames: not two, [topic, payload]": 1,
        }
    assert len(caplog.messages) == 5
    assert "\x1b" not in caplog.text


def test_another_thread_stops_a_waiting_iteration(bus: Bus) -> None:
    received: list[Update] = []
    with subscribe(bus.endpoint) as updates:
        thread = threading.Thread(target=lambda: received.extend(updates))
        thread.start()
        bus.await_subscriber()
        bus.publish(update())
        updates.stop()
        thread.join(DEADLINE)
        assert not thread.is_alive()
        assert list(updates) == []


def test_a_signal_handler_stops_a_waiting_iteration(bus: Bus) -> None:
    with subscribe(bus.endpoint) as updates:
        previous = signal.signal(signal.SIGUSR1, lambda *_: updates.stop())

        def kill_when_subscribed() -> None:
            bus.await_subscriber()
            os.kill(os.getpid(), signal.SIGUSR1)

        thread = threading.Thread(target=kill_when_subscribed)
        thread.start()
        assert list(updates) == []
        thread.join()
        signal.signal(signal.SIGUSR1, previous)


def test_an_event_loop_iterates_and_does_other_things_meanwhile(bus: Bus) -> None:
    async def read() -> list[int]:
        seqs = []
        async with subscribe(bus.endpoint) as updates:
            # The loop is free while nothing is there: it runs what publishes.
            publishing = asyncio.ensure_future(publish())
            async for each in updates:
                seqs.append(each.seq)
                if each.seq == 99:
                    updates.stop()
            await publishing
        return seqs

    async def publish() -> None:
        await asyncio.to_thread(bus.await_subscriber)
        for seq in range(100):
            bus.publish(update(seq))
            await asyncio.sleep(0)

    assert asyncio.run(asyncio.wait_for(read(), DEADLINE)) == list(range(100))


def test_another_thread_stops_an_event_loop_that_waits(bus: Bus) -> None:
    async def read() -> list[Update]:
        async with subscribe(bus.endpoint) as updates:

            def stop_when_subscribed() -> None:
                bus.await_subscriber()
                updates.stop()

            stopping = asyncio.ensure_future(asyncio.to_thread(stop_when_subscribed))
            received = [each async for each in updates]
            await stopping
            return received

    assert asyncio.run(asyncio.wait_for(read(), DEADLINE)) == []


def test_a_wait_that_is_cancelled_loses_nothing(bus: Bus) -> None:
    async def read() -> list[int]:
        async with subscribe(bus.endpoint) as updates:
            await asyncio.to_thread(bus.await_subscriber)
            for _ in range(3):
                waiting = asyncio.ensure_future(anext_of(updates))
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            bus.publish(update(5))
            bus.publish(update(6))
            return [(await anext_of(updates)).seq for _ in range(2)]

    async def anext_of(updates: Subscription[Update]) -> Update:
        return await updates.__anext__()

    assert asyncio.run(read()) == [5, 6]


def test_a_path_that_is_dead_without_a_word_is_made_anew(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atomwire.bus.subscription.HEARTBEAT", 0.1)
    received: queue.Queue[Update] = queue.Queue()
    with closing(Proxy(bus.endpoint)) as proxy, subscribe(proxy.endpoint) as updates:

        def read() -> None:
            for each in updates:
                received.put(each)

        thread = threading.Thread(target=read)
        thread.start()
        bus.await_subscriber()
        bus.publish(update(0))
        assert received.get(timeout=DEADLINE).seq == 0
        proxy.die()
        bus.await_subscriber()
        bus.publish(update(1))
        assert received.get(timeout=DEADLINE).seq == 1
        updates.stop()
        thread.join()


def test_waiting_ends_when_stopped(bus: Bus) -> None:
    with subscribe(bus.endpoint) as updates:
        assert updates.wait(0) is False
        thread = threading.Thread(target=updates.stop)
        thread.start()
        assert updates.wait(DEADLINE) is True
        thread.join()


def test_close_may_be_repeated(bus: Bus) -> None:
    updates = subscribe(bus.endpoint)
    updates.close()
    updates.close()
    assert list(updates) == []


def test_a_malformed_endpoint_is_refused() -> None:
    with pytest.raises(zmq.ZMQError):
        subscribe("tcp://nonsense")


def test_a_relay_that_comes_later_is_found(bus: Bus) -> None:
    # Its port is known, but nobody is there yet.
    endpoint = bus.endpoint
    bus.close()
    with subscribe(endpoint) as updates, zmq.Context() as context, context.socket(zmq.XPUB) as late:
        late.bind(endpoint)
        assert late.recv() == b"\x01atom-updates"
        late.send_multipart([b"atom-updates", json.dumps(update(9)).encode()])
        assert next(updates).session == SESSION

import { expect, inject } from 'vitest';
import { withRelay } from '../lib/browser.ts';
import { type Payload, Stranger, sendPlain } from '../lib/peers.ts';
import { test as base } from '../lib/test.ts';
import { expectOneTree, only } from '../lib/traces.ts';
import { until } from '../lib/until.ts';

const test = base.extend('stranger', async ({ relay, onTestFinished }) => {
  const stranger = new Stranger(relay);
  onTestFinished(() => stranger.stop());
  await relay.subscribed(1);
  return stranger;
});

test('a consumer written from the bus contract alone stands beneath the relay’s span', async ({
  stranger,
  page,
  relay,
}) => {
  await page.goto(withRelay(inject('demo'), relay.stream));
  await page.getByRole('button', { name: 'Add California roll to cart' }).click();
  const [received] = await until('the update', () => stranger.received.length > 0 && stranger.received);
  expect(received?.topic).toBe('atom-updates');
  expect(received?.update).toEqual({
    key: 'cart',
    value: [{ dish: 'california-roll', quantity: 1 }],
    traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/),
    session: expect.stringMatching(/^[0-9a-f]{32}$/),
    seq: 0,
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    relay: { id: expect.stringMatching(/^[0-9a-f]{16}$/), seq: 0 },
  });
  const [, traceId = '', spanId] = String(received?.update.traceparent).split('-');
  await until('four spans', async () => (await relay.trace(traceId)).length === 4);
  const spans = await relay.trace(traceId);
  expectOneTree(spans);
  const producer = only(spans, { kind: 'producer' });
  expect(producer.id).toBe(spanId);
  expect(only(spans, { service: 'kitchen-printer' })).toMatchObject({
    name: 'print ticket',
    kind: 'consumer',
    parent: producer.id,
  });
});

/** The contexts that a client of the plain contract may send. */
const parent = (digit: string, flags: string) => ({
  traceId: digit.repeat(32),
  spanId: digit.repeat(16),
  traceparent: `00-${digit.repeat(32)}-${digit.repeat(16)}-${flags}`,
});
const unsampled = parent('a', '00');
const sampled = parent('b', '01');
const random = parent('c', '03');
const malformed = { traceparent: `00-${'d'.repeat(32)}-${'d'.repeat(15)}-01` };

test('a client written from the plain contract alone has its traces continued', async ({
  stranger,
  consumer,
  relay,
  database,
}) => {
  const tracestate = 'kitchen=1,door=2';
  await sendPlain(relay, [
    { key: 'unsampled', value: 1, traceparent: unsampled.traceparent },
    { key: 'sampled', value: { ключ: ['\u0000', 1e-7] }, traceparent: sampled.traceparent, tracestate },
    { key: 'random', value: null, traceparent: random.traceparent },
    { key: 'malformed', value: '', traceparent: malformed.traceparent },
    { key: 'absent', value: [] },
  ]);
  const rows = await database.arrived(5);
  expect(rows.map((row) => row.key)).toEqual(['unsampled', 'sampled', 'random', 'malformed', 'absent']);
  expect(rows.map((row) => row.seq)).toEqual([0, 1, 2, 3, 4]);
  expect(JSON.parse(String(rows[1]?.value))).toEqual({ ключ: ['\u0000', 1e-7] });
  expect(rows[2]?.value).toBe('null');
  await until('all of them on the bus', () => stranger.received.length === 5);
  const traceparents = stranger.received.map(({ update }) => update.traceparent.split('-'));
  // Row and bus agree.
  expect(rows.map((row) => row.trace_id)).toEqual(traceparents.map(([, traceId]) => traceId));

  // Continued ones keep their trace id, the others start anew under an id that is random.
  expect(rows.slice(0, 3).map((row) => row.trace_id)).toEqual([
    unsampled.traceId,
    sampled.traceId,
    random.traceId,
  ]);
  const [, , , restarted, anew] = rows.map((row) => row.trace_id);
  expect(restarted).not.toBe('d'.repeat(32));
  expect(anew).not.toBe(restarted);
  // The flags: kept, and of one's own trace both sampled and random.
  expect(traceparents.map(([, , , flags]) => flags)).toEqual(['00', '01', '03', '03', '03']);
  const states: (Payload['tracestate'] | undefined)[] = stranger.received.map(
    ({ update }) => update.tracestate,
  );
  expect(states).toEqual([undefined, tracestate, undefined, undefined, undefined]);

  // Spans: relay's two, the consumer's two, the stranger's one; none of the unsampled trace.
  await until('the sampled traces', async () => {
    const traces = await relay.traces();
    return traces.length === 4 && traces.every((trace) => trace.spans === 5);
  });
  await consumer.stop();
  expect((await relay.traces()).map((trace) => trace.traceId).toSorted()).toEqual(
    rows
      .slice(1)
      .map((row) => row.trace_id)
      .toSorted(),
  );
  for (const row of rows.slice(1)) {
    const spans = await relay.trace(row.trace_id);
    const context = [sampled, random].find(({ traceId }) => traceId === row.trace_id);
    const server = only(spans, { kind: 'server' });
    expect(server.parent).toBe(context?.spanId);
    const producer = only(spans, { kind: 'producer', parent: server.id });
    const process = only(spans, { service: 'atomwire-consumer', parent: producer.id });
    only(spans, { kind: 'client', parent: process.id });
    only(spans, { service: 'kitchen-printer', parent: producer.id });
    // The client's own span is not here: it exports it itself, or has none.
    if (context === undefined) expectOneTree(spans);
  }
});

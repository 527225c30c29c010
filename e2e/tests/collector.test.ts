import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { withRelay } from '../lib/browser.ts';
import { Consumer } from '../lib/consumer.ts';
import { Relay } from '../lib/relay.ts';
import { findRotel, Rotel } from '../lib/rotel.ts';
import { Database } from '../lib/rows.ts';
import { test } from '../lib/test.ts';
import { expectOneTree, expectPath, only } from '../lib/traces.ts';
import { until } from '../lib/until.ts';

test('a collector that nobody here wrote receives the same trace', async ({
  directory,
  page,
  skip,
  onTestFinished,
}) => {
  const agent = await findRotel();
  if (agent === undefined) return skip('rotel has wheels for Python 3.10 to 3.13 alone');
  const rotel = await Rotel.start(agent, directory);
  onTestFinished(() => rotel.stop());
  const relay = await Relay.start({ OTEL_EXPORTER_OTLP_ENDPOINT: rotel.otlp });
  onTestFinished(() => relay.stop());
  const database = new Database(join(directory, 'rows.sqlite'));
  const consumer = await Consumer.start(relay, database, rotel.otlp);
  onTestFinished(async () => {
    await consumer.stop();
  });

  await page.goto(withRelay(inject('demo'), relay.stream));
  await page.getByRole('button', { name: 'Add Ebi nigiri to cart' }).click();
  await until('five spans', () => rotel.spans.length >= 5);
  await consumer.stop();
  const { spans } = rotel;
  expect(spans).toHaveLength(5);
  expectOneTree(spans);
  expectPath(spans, only(spans, { parent: undefined }), 'ituna-web');
  const [row] = await database.updates();
  expect(row?.trace_id).toBe(spans[0]?.traceId);
  // What was exported went there and nowhere else.
  expect(await relay.traces()).toEqual([]);
});

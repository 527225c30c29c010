import { setTimeout as sleep } from 'node:timers/promises';
import type { BrowserContext } from 'playwright-core';
import { readBooks } from '../lib/account.ts';
import { Collector } from '../lib/Collector.ts';
import { CONSUMER } from '../lib/consumer.ts';
import { Network } from '../lib/Network.ts';
import { Relay } from '../lib/relay.ts';
import type { Database } from '../lib/rows.ts';
import { until } from '../lib/until.ts';
import { type Evidence, handledIn, lossesIn, relaysIn, sessionsIn } from './evidence.ts';
import { Generator } from './Generator.ts';
import { Log, partOf } from './Log.ts';
import type { Options } from './Options.ts';
import { schedule, TABS } from './schedule.ts';
import { Tabs } from './Tabs.ts';
import { HANDLER, World } from './World.ts';

/**
 * How much of what it published a relay keeps: so little that under the load of a long run clients have to wait for a
 * consumer which is away for seconds, and a subscriber that is slow is overtaken.
 */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** Long enough for any backlog of a consumer, in milliseconds. */
const SETTLED_WITHIN = 180_000;

/** A run from the first update to the books. */
export async function run(
  context: BrowserContext,
  { database, handled }: { database: Database; handled: Database },
  options: Options,
): Promise<Evidence> {
  const { seed, updates, faults, sessions, rate, acknowledge, site, away, say, onEnd } = options;
  const collector = await Collector.start();
  onEnd(() => collector.go());
  const relay = await Relay.start({
    ATOMWIRE_REPLAY_BYTES: String(WINDOW_BYTES),
    ATOMWIRE_REQUIRED_CONSUMERS: `${CONSUMER},${HANDLER}`,
    ATOMWIRE_ACKNOWLEDGE: acknowledge,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    // The collector is part of this for what it does to the relay; its load is not.
    OTEL_TRACES_SAMPLER: 'traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.05',
  });
  onEnd(() => relay.stop('SIGKILL'));
  const network = await Network.start(relay.url);
  onEnd(() => network.close());
  const tabs = new Tabs(context, site, away, network.stream);
  const world = await World.start({ relay, network, collector, tabs }, database, handled);
  onEnd(() => world.kill());
  for (let tab = 0; tab < TABS; tab += 1) await tabs.open(tab);
  const generator = new Generator(network.stream, { sessions, updates, seed, rate });
  onEnd(() => generator.kill());
  const log = new Log(say);
  await strikeAll(world, generator, log, schedule(seed, updates, faults));
  say('every fault is over; waiting for the sessions to end');
  const generated = await until('the generator is done', () => generator.result, {
    timeout: SETTLED_WITHIN,
  });
  await tabs.end();
  const { left, testimony } = await tabs.visit();
  await settled(world, database);
  await settled(world, handled);
  const relayMetrics = {
    received: await relay.metric('updates_received_total'),
    published: await relay.metric('updates_published_total'),
    dropped: await relay.metric('updates_dropped_total'),
    duplicate: await relay.metric('updates_duplicate_total'),
  };
  await relay.end('SIGTERM');
  for (const books of [database, handled]) {
    await until('the relay’s end is in the books', () => ended(books, relay.id));
  }
  await world.stop();
  return {
    options: { seed, updates, faults, sessions, rate, acknowledge },
    log,
    generated,
    pages: tabs.accounts,
    left,
    testimony,
    back: tabs.back,
    network: network.counts,
    relay: relayMetrics,
    sessions: await sessionsIn(database),
    losses: await lossesIn(database),
    relays: await relaysIn(database),
    books: await readBooks(database),
    rows: await countRows(database),
    handled: await handledIn(handled),
  };
}

/** Does each fault when its time has come, those of one part one after another, and waits for all. */
async function strikeAll(
  world: World,
  generator: Generator,
  log: Log,
  faults: ReturnType<typeof schedule>,
): Promise<void> {
  const parts = new Map<string, Promise<void>>();
  let failed: { error: unknown } | undefined;
  for (const fault of faults) {
    while (generator.progress < fault.at && generator.result === undefined) {
      if (failed) throw failed.error;
      await sleep(20);
    }
    const strike = async () => {
      const [from, progress] = [performance.now(), generator.progress];
      await world.strike(fault);
      log.add({ ...fault, from, to: performance.now(), progress });
    };
    const before = parts.get(partOf(fault)) ?? Promise.resolve();
    const done = before.then(strike).catch((error: unknown) => {
      failed ??= { error: new Error(`while the ${fault.kind}`, { cause: error }) };
    });
    parts.set(partOf(fault), done);
  }
  await Promise.all(parts.values());
  if (failed) throw failed.error;
}

/** Waits until whoever writes this database has everything that the relay has published. */
async function settled(world: World, database: Database): Promise<void> {
  const { relay } = world;
  await until(
    `${database.file} has caught up`,
    async () => {
      world.mustRun();
      const [position] = await database.query<{ next: number }>(
        `SELECT next_seq AS next FROM atomwire_topics WHERE relay_id = '${relay.id}' AND topic = 'atom-updates'`,
      );
      return (position?.next ?? 0) === (await relay.metric('updates_published_total'));
    },
    { timeout: SETTLED_WITHIN },
  );
}

async function ended(database: Database, relay: string): Promise<boolean> {
  const [row] = await database.query<{ ended: string | null }>(
    `SELECT ended FROM atomwire_relays WHERE relay_id = '${relay}'`,
  );
  return row?.ended === 'drained';
}

/** All rows, and how many different updates they are. */
async function countRows(database: Database): Promise<{ all: number; different: number }> {
  const [rows] = await database.query<{ all: number; different: number }>(
    `SELECT COUNT(*) AS "all", (SELECT COUNT(*) FROM (SELECT DISTINCT session, seq FROM atomwire_updates)) AS different
     FROM atomwire_updates`,
  );
  return rows ?? { all: 0, different: 0 };
}

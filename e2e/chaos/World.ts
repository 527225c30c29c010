import { setTimeout as sleep } from 'node:timers/promises';
import type { Collector } from '../lib/Collector.ts';
import { Consumer } from '../lib/consumer.ts';
import type { Network } from '../lib/Network.ts';
import { Program } from '../lib/Program.ts';
import { peer, python } from '../lib/paths.ts';
import type { Relay } from '../lib/relay.ts';
import type { Database } from '../lib/rows.ts';
import type { Fault, Kind } from './schedule.ts';
import type { Tabs } from './Tabs.ts';

/** Bytes a second of a connection that is slow: a message of 20 KB takes a second. */
const SLOW = 20_000;

/** Of the connections that are cut, when it is not all of them: every third. */
const SOME = 3;

/** Messages a second of the subscriber that is slow: a fraction of what comes. */
const SLOW_SUBSCRIBER = '100';

/** As which the handler reads. */
export const HANDLER = 'handler';

/** How a relay ends that did not get rid of its messages or spans in time. */
const LATE = 1;

/** Everything that runs, and what can be done to it. */
export class World {
  readonly relay: Relay;
  readonly network: Network;
  readonly collector: Collector;
  readonly database: Database;
  readonly tabs: Tabs;
  #consumer: Consumer;
  #handler: Program;
  readonly #handled: Database;
  readonly #subscriber: Program;
  readonly #slowSubscriber: Program;

  private constructor(
    parts: { relay: Relay; network: Network; collector: Collector; tabs: Tabs },
    consumer: Consumer,
    handled: Database,
  ) {
    this.relay = parts.relay;
    this.network = parts.network;
    this.collector = parts.collector;
    this.tabs = parts.tabs;
    this.database = consumer.database;
    this.#consumer = consumer;
    this.#handled = handled;
    this.#handler = this.#startHandler();
    this.#subscriber = new Program(python, [peer('subscriber.py'), parts.relay.bus]);
    this.#slowSubscriber = new Program(python, [peer('subscriber.py'), parts.relay.bus, SLOW_SUBSCRIBER]);
  }

  /** Starts the consumer, a handler with a database of its own, and the subscribers. */
  static async start(
    parts: { relay: Relay; network: Network; collector: Collector; tabs: Tabs },
    database: Database,
    handled: Database,
  ): Promise<World> {
    const world = new World(parts, await Consumer.start(parts.relay, database), handled);
    await parts.relay.subscribed(2);
    return world;
  }

  /** Does it, and undoes it when its time is over. */
  async strike({ kind, duration, tab, direction }: Fault): Promise<void> {
    const acts: Record<Kind, () => Promise<unknown> | unknown> = {
      'relay killed': () => this.#restartRelay('SIGKILL', duration),
      'relay ended': () => this.#restartRelay('SIGTERM', duration),
      'consumer killed': async () => {
        await Promise.all([this.#consumer.kill(), this.#handler.stop('SIGKILL')]);
        await this.#startConsumer(duration);
      },
      'consumer ended': async () => {
        await Promise.all([this.#consumer.stop(), this.#handler.stop()]);
        await this.#startConsumer(duration);
      },
      'consumer stopped': () => stopped(this.#consumer, duration),
      'subscriber stopped': () => stopped(this.#subscriber, duration),
      'connections cut': () => this.network.cut(),
      'some connections cut': () => this.network.cut(SOME),
      'connections stalled': async () => {
        this.network.stall(direction);
        await sleep(duration);
        this.network.stall(undefined);
      },
      'connections slow': async () => {
        this.network.slow(SLOW);
        await sleep(duration);
        this.network.slow();
      },
      'connections half-closed': () => this.network.halfClose(direction),
      'connections refused': async () => {
        this.network.refuse(true);
        this.network.cut(SOME);
        await sleep(duration);
        this.network.refuse(false);
      },
      'tab closed': () => this.tabs.close(tab),
      'tab reloaded': () => this.tabs.reload(tab),
      'tab away and back': () => this.tabs.awayAndBack(tab, duration),
      'tab crashed': () => this.tabs.crash(tab),
      'collector stalled': async () => {
        this.collector.stall();
        await sleep(duration);
        await this.collector.come();
      },
      'collector gone': async () => {
        await this.collector.go();
        await sleep(duration);
        await this.collector.come();
      },
    };
    await acts[kind]();
  }

  /** For checks: throws when what should run does not. */
  mustRun(): void {
    this.#consumer.mustRun();
    this.#handler.mustRun();
  }

  /** Lets the consumer and the handler finish. */
  async stop(): Promise<void> {
    await Promise.all([this.#consumer.stop(), this.#handler.stop()]);
  }

  /** Ends the subscribers, whatever they do. */
  async kill(): Promise<void> {
    const peers = [this.#subscriber, this.#slowSubscriber, this.#handler];
    await Promise.all([...peers.map((program) => program.stop('SIGKILL')), this.#consumer.kill()]);
  }

  async #restartRelay(signal: 'SIGTERM' | 'SIGKILL', duration: number): Promise<void> {
    const end = await this.relay.end(signal);
    if (signal === 'SIGTERM' && end !== 0 && end !== LATE) throw new Error(`the relay ended with ${end}`);
    await sleep(duration);
    await this.relay.start();
  }

  async #startConsumer(duration: number): Promise<void> {
    await sleep(duration);
    this.#handler = this.#startHandler();
    this.#consumer = await Consumer.start(this.relay, this.database);
  }

  #startHandler(): Program {
    return new Program(python, [peer('handler.py'), this.relay.replay, HANDLER, this.#handled.url]);
  }
}

/** Stopped like a process in a debugger, then let go on. */
async function stopped(program: { signal(signal: NodeJS.Signals): void }, duration: number): Promise<void> {
  program.signal('SIGSTOP');
  await sleep(duration);
  program.signal('SIGCONT');
}

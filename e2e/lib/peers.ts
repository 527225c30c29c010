import { Program } from './Program.ts';
import { peer, python } from './paths.ts';
import type { Relay } from './relay.ts';

/** What the bus contract promises of an update. */
export interface Payload {
  key: string;
  value: unknown;
  traceparent: string;
  tracestate?: string;
  session: string;
  seq: number;
  time: string;
  relay: { id: string; seq: number };
}

/** Sends messages of the plain contract, one after another on one connection, and hangs up. */
export async function sendPlain(relay: Relay, messages: unknown[]): Promise<void> {
  const input = messages.map((message) => `${JSON.stringify(message)}\n`).join('');
  const client = new Program(python, [peer('plain_client.py'), `${relay.url.replace('http', 'ws')}/`], {
    input,
  });
  const end = await client.ended();
  if (end !== 0) throw new Error(`the plain client ended with ${end}:\n${client.stderr}`);
}

/** A consumer that knows the bus contract and OpenTelemetry, and nothing else of this project. */
export class Stranger {
  readonly #program: Program;

  constructor(relay: Relay) {
    this.#program = new Program(python, [peer('bus_consumer.py'), relay.bus, relay.otlp]);
  }

  /** What it has received, topic by topic. */
  get received(): { topic: string; update: Payload }[] {
    return this.#program.log as unknown as { topic: string; update: Payload }[];
  }

  async stop(): Promise<void> {
    await this.#program.stop('SIGKILL');
  }
}

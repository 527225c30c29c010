import { Program } from './Program.ts';
import { relayProgram } from './paths.ts';
import { type Span, spansOf, type TraceAnswer } from './traces.ts';
import { until } from './until.ts';

interface Addresses {
  listen: string;
  bus: string;
  replay: string;
  otlpGrpc: string;
  otlpHttp: string;
}

const ANY: Addresses = {
  listen: '127.0.0.1:0',
  bus: 'tcp://127.0.0.1:0',
  replay: 'tcp://127.0.0.1:0',
  otlpGrpc: '127.0.0.1:0',
  otlpHttp: '127.0.0.1:0',
};

/** A line of the trace view's list. */
export interface TraceSummary {
  traceId: string;
  name: string;
  spans: number;
  keys: string[];
}

/** The relay, under `--dev`; after `start` it has the same addresses as before `stop`. */
export class Relay {
  #addresses = ANY;
  #program: Program | undefined;
  /** New at each start. */
  id = '';
  readonly #env: Record<string, string>;

  private constructor(env: Record<string, string>) {
    this.#env = env;
  }

  /** Starts a relay on free ports. */
  static async start(env: Record<string, string> = {}): Promise<Relay> {
    const relay = new Relay(env);
    await relay.start();
    return relay;
  }

  async start(): Promise<void> {
    const { listen, bus, replay, otlpGrpc, otlpHttp } = this.#addresses;
    const args = ['--listen', listen, '--bus', bus, '--replay', replay];
    args.push('--dev', '--dev-otlp-grpc', otlpGrpc, '--dev-otlp-http', otlpHttp);
    const program = new Program(relayProgram, args, { env: this.#env });
    this.#program = program;
    const ready = await until('the relay listens', () => program.line('listening'));
    const dev = await until('the relay receives OTLP', () =>
      program.log.find((line) => line.otlp_grpc !== undefined),
    );
    this.id = String(ready.relay_id);
    this.#addresses = {
      listen: String(ready.listen),
      bus: String(ready.bus),
      replay: String(ready.replay),
      otlpGrpc: String(dev.otlp_grpc),
      otlpHttp: String(dev.otlp_http),
    };
  }

  /** Ends it, and says how it ended. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | string | undefined> {
    return this.#program?.stop(signal);
  }

  /** Ends it, by itself (SIGTERM: it says goodbye to its clients) or not (SIGKILL). */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const end = await this.end(signal);
    if (signal === 'SIGTERM' && end !== 0) {
      throw new Error(`the relay ended with ${end}:\n${this.#program?.stderr}`);
    }
  }

  /** Where browsers connect. */
  get stream(): string {
    return `ws://${this.#addresses.listen}/v1/stream`;
  }

  get url(): string {
    return `http://${this.#addresses.listen}`;
  }

  get bus(): string {
    return this.#addresses.bus;
  }

  /** Where consumers ask for what comes next. */
  get replay(): string {
    return this.#addresses.replay;
  }

  /** Where `--dev` receives OTLP by gRPC. */
  get otlp(): string {
    return `http://${this.#addresses.otlpGrpc}`;
  }

  /** A counter or gauge, over all of its labels; 0 where it is not there. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const values = text.matchAll(new RegExp(`^atomwire_${name}(?:{.*})? (\\S+)$`, 'gm'));
    return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
  }

  /** Waits until that many subscriptions have arrived at the bus. */
  async subscribed(count: number): Promise<void> {
    await until(`${count} subscriptions`, async () => (await this.metric('bus_subscriptions')) >= count);
  }

  /** The traces in the trace view, the newest first. */
  async traces(): Promise<TraceSummary[]> {
    const answer = await fetch(`${this.url}/traces/api/traces?limit=1000`);
    return ((await answer.json()) as { traces: TraceSummary[] }).traces;
  }

  /** A trace's spans in the trace view, by start; none while it has not arrived. */
  async trace(traceId: string): Promise<Span[]> {
    const answer = await fetch(`${this.url}/traces/api/traces/${traceId}`);
    return answer.ok ? spansOf((await answer.json()) as TraceAnswer) : [];
  }
}

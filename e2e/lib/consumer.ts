import { Program } from './Program.ts';
import { python } from './paths.ts';
import type { Database } from './rows.ts';
import { until } from './until.ts';

/** The consumer's own totals: how many updates came, and what became of them. */
export interface Totals {
  updates: { received: number; stored: number; duplicates: number; refused: number; unstored: number };
  browser_lost: number;
  bus_lost: number;
}

/** `python -m atomwire`. */
export class Consumer {
  readonly database: Database;
  readonly #program: Program;

  private constructor(program: Program, database: Database) {
    this.#program = program;
    this.database = database;
  }

  /** Starts it on a relay's bus; `otlp` is where its spans go. */
  static async start(bus: string, database: Database, otlp: string): Promise<Consumer> {
    const args = ['-m', 'atomwire', '--bus', bus, '--database-url', database.url];
    const program = new Program(python, args, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: otlp } });
    await until('the consumer subscribes', () => program.line('subscribed'));
    return new Consumer(program, database);
  }

  /** Lets it finish, its last spans included. */
  async stop(): Promise<Totals> {
    const end = await this.#program.stop();
    const totals = this.#program.line('stopped');
    if (end !== 0) throw new Error(`the consumer ended with ${end}:\n${this.#program.stderr}`);
    return totals as unknown as Totals;
  }
}

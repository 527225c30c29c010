import { Program } from './Program.ts';
import { python } from './paths.ts';
import type { Database } from './rows.ts';
import { until } from './until.ts';

/** The consumer's own totals: how many updates came, and what became of them. */
export interface Totals {
  updates: { received: number; stored: number; duplicates: number; refused: number; unstored: number };
  browser_lost: number;
  /** Messages that never came, by reason. */
  gaps: Record<string, number>;
}

/** As which it reads. */
export const CONSUMER = 'rows';

/** `atomwire-consumer`. */
export class Consumer {
  readonly database: Database;
  readonly #program: Program;

  private constructor(program: Program, database: Database) {
    this.#program = program;
    this.database = database;
  }

  /** Starts it behind a relay; `otlp` is where its spans go, if anywhere. */
  static async start({ replay }: { replay: string }, database: Database, otlp?: string): Promise<Consumer> {
    const args = [
      '-m',
      'atomwire',
      '--consumer',
      CONSUMER,
      '--replay',
      replay,
      '--database-url',
      database.url,
    ];
    const env: Record<string, string> = otlp
      ? { OTEL_EXPORTER_OTLP_ENDPOINT: otlp, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }
      : { OTEL_TRACES_EXPORTER: 'none' };
    const program = new Program(python, args, { env });
    await until('the consumer reads', () => program.line('reading'));
    return new Consumer(program, database);
  }

  /** Stops it as it is, or lets it go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#program.signal(signal);
  }

  /** Ends it in the middle of whatever it does. */
  async kill(): Promise<void> {
    await this.#program.stop('SIGKILL');
  }

  /** For checks: throws once it has ended. */
  mustRun(): void {
    this.#program.mustRun();
  }

  /** Lets it finish, its last spans included. */
  async stop(): Promise<Totals> {
    const end = await this.#program.stop();
    const totals = this.#program.line('stopped');
    if (end !== 0) throw new Error(`the consumer ended with ${end}:\n${this.#program.stderr}`);
    return totals as unknown as Totals;
  }
}

import { Program } from '../lib/Program.ts';
import { benchProgram } from '../lib/paths.ts';

/** An account as the generator and the emitter give it. */
export interface Account {
  created: number;
  acknowledged: number;
  pending: number;
  lost: Record<string, number>;
}

/** What `atomwire-bench chaos` prints at its end. */
export interface Generated extends Account {
  sessions: (Account & { session: string; connections: number; refused: string | null })[];
}

/** `atomwire-bench chaos`: many sessions of the browser's own machine. */
export class Generator {
  readonly #program: Program;

  constructor(url: string, options: { sessions: number; updates: number; seed: number; rate: number }) {
    const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    this.#program = new Program(benchProgram, ['chaos', `--url=${url}`, ...flags]);
  }

  /** Updates made so far. */
  get progress(): number {
    return Number(this.#program.stderr.match(/progress (\d+)\n$/)?.[1] ?? 0);
  }

  /** The account, once every session is over. */
  get result(): Generated | undefined {
    const { end, stdout, stderr } = this.#program;
    if (end === undefined) return undefined;
    if (end !== 0) throw new Error(`the generator ended with ${end}:\n${stderr}`);
    return JSON.parse(stdout) as Generated;
  }

  async kill(): Promise<void> {
    await this.#program.stop('SIGKILL');
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { Hopeless } from './until.ts';

interface ProgramOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** What is written to its standard input, which then ends. */
  input?: string;
  /** A process group of its own, as a terminal would give it. */
  group?: boolean;
}

/** How long a program may take to end once it was asked to: more than any part's own deadlines. */
const PATIENCE = 45_000;

/** A process and everything that it says. */
export class Program {
  stdout = '';
  stderr = '';
  /** The exit code, or the signal's name; undefined while it runs. */
  end: number | string | undefined;
  readonly #child: ChildProcess;
  readonly #group: boolean;
  readonly #ended: Promise<number | string>;

  constructor(command: string, args: string[], { env, cwd, input, group = false }: ProgramOptions = {}) {
    this.#group = group;
    this.#child = spawn(command, args, {
      cwd,
      detached: group,
      env: { ...cleanEnvironment(), ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.#child.stdin?.end(input);
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('close', (code, signal) => resolve(code ?? signal ?? 'ended'));
    }).then((end) => {
      this.end = end as number | string;
      return this.end;
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** The JSON lines that it wrote to either output. */
  get log(): Record<string, unknown>[] {
    return `${this.stdout}\n${this.stderr}`.split('\n').flatMap((line) => {
      try {
        return line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : [];
      } catch {
        return [];
      }
    });
  }

  /** For checks: throws once it has ended, for then it will never do what is waited for. */
  mustRun(): void {
    if (this.end !== undefined) throw new Hopeless(`ended (${this.end}):\n${this.stdout}${this.stderr}`);
  }

  /** The JSON line with this message; undefined while it may still come. */
  line(message: string): Record<string, unknown> | undefined {
    const line = this.log.find((entry) => entry.message === message);
    if (line === undefined) this.mustRun();
    return line;
  }

  /** Sends a signal, and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    if (this.end === undefined) this.#kill(signal);
  }

  /** Waits for its end. */
  async ended(): Promise<number | string> {
    return this.#ended;
  }

  /** Asks it to end, and waits until it has. One that does not is killed, and an error. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    if (this.end !== undefined) return this.end;
    this.#kill(signal);
    let late = false;
    const killer = setTimeout(() => {
      late = true;
      this.#kill('SIGKILL');
    }, PATIENCE);
    const end = await this.#ended;
    clearTimeout(killer);
    if (late) throw new Error(`did not end within ${PATIENCE / 1000} s of ${signal}:\n${this.stderr}`);
    return end;
  }

  #kill(signal: NodeJS.Signals): void {
    if (this.#group) process.kill(-this.pid, signal);
    else this.#child.kill(signal);
  }
}

/** Without what would configure the parts from outside of the tests. */
function cleanEnvironment(): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(OTEL|ATOMWIRE|ROTEL)_/.test(name));
  return { ...Object.fromEntries(kept), PYTHONUNBUFFERED: '1' };
}

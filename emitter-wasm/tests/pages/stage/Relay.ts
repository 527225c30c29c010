import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const PROGRAM = join(import.meta.dirname, '../../../../target/release/atomwire-relay');

/** The relay, on ports of its own. */
export class Relay {
  readonly #child: ChildProcess;
  /** Host and port. */
  readonly listen: string;
  readonly bus: string;

  private constructor(child: ChildProcess, { listen, bus }: { listen: string; bus: string }) {
    this.#child = child;
    this.listen = listen;
    this.bus = bus;
  }

  static async start(...settings: string[]): Promise<Relay> {
    const any = 'tcp://127.0.0.1:0';
    const child = spawn(PROGRAM, ['--listen', '127.0.0.1:0', '--bus', any, '--replay', any, ...settings], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
    });
    // From its log: its ports are whatever was free.
    for await (const line of createInterface({ input: child.stderr })) {
      const entry = JSON.parse(line);
      if (entry.listen !== undefined) {
        child.stderr.resume();
        return new Relay(child, entry);
      }
    }
    throw new Error('the relay ended before it listened');
  }

  /** How many subscriptions have arrived at the bus. */
  async subscriptions(): Promise<number> {
    const text = await (await fetch(`http://${this.listen}/metrics`)).text();
    return Number(/^atomwire_bus_subscriptions (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  stop(): void {
    this.#child.kill();
  }
}

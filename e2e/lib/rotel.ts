import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './freePort.ts';
import { Program } from './Program.ts';
import { python } from './paths.ts';
import type { Span } from './traces.ts';
import { until } from './until.ts';

const FIND = `
import json, sys
from pathlib import Path
from importlib.util import find_spec
spec = find_spec("rotel")
agent = str(Path(spec.origin).with_name("rotel-agent")) if spec else None
print(json.dumps({"agent": agent, "wheel": (3, 10) <= sys.version_info < (3, 14)}))
`;

/** Where rotel's program is, or undefined on a Python for which it has no wheel. */
export async function findRotel(): Promise<string | undefined> {
  const { stdout } = await promisify(execFile)(python, ['-c', FIND]);
  const { agent, wheel } = JSON.parse(stdout) as { agent: string | null; wheel: boolean };
  if (agent === null && wheel) throw new Error('rotel is missing: npm test -- e2e');
  return agent ?? undefined;
}

/** An OTLP receiver that is no part of this project (streamfold/rotel); it prints what it receives. */
export class Rotel {
  readonly otlp: string;
  readonly #program: Program;

  private constructor(otlp: string, program: Program) {
    this.otlp = otlp;
    this.#program = program;
  }

  static async start(agent: string, directory: string): Promise<Rotel> {
    // It takes no port 0.
    const [grpc, http] = [await freePort(), await freePort()];
    const program = new Program(agent, [
      ...['start', '--exporter', 'blackhole', '--debug-log', 'traces', '--debug-log-verbosity', 'detailed'],
      ...['--otlp-grpc-endpoint', `127.0.0.1:${grpc}`, '--otlp-http-endpoint', `127.0.0.1:${http}`],
      ...['--pid-file', join(directory, 'rotel.pid'), '--log-file', join(directory, 'rotel.log')],
    ]);
    await until('rotel listens', () => {
      program.mustRun();
      return new Promise<boolean>((resolve) => {
        const socket = connect(grpc, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
        socket.once('connect', () => socket.destroy());
      });
    });
    return new Rotel(`http://127.0.0.1:${grpc}`, program);
  }

  /** The spans received so far, in the order of their start. */
  get spans(): Span[] {
    const resources = this.#program.stdout.split(/^ResourceSpans #\d+$/m).slice(1);
    const spans = resources.flatMap((text) => {
      const [resource = '', ...spans] = text.split(/^Span #\d+$/m);
      return spans.map((span) => parseSpan(span, String(attributes(resource)['service.name'])));
    });
    return spans.toSorted((a, b) => Number(a.start - b.start));
  }

  async stop(): Promise<void> {
    await this.#program.stop();
  }
}

function parseSpan(text: string, service: string): Span {
  const field = (name: string) => new RegExp(`^ *${name} *: (.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
  return {
    traceId: field('Trace ID'),
    id: field('ID'),
    parent: field('Parent ID') || undefined,
    name: field('Name'),
    kind: field('Kind').replace('SPAN_KIND_', '').toLowerCase(),
    service,
    status: field('Status code').replace('STATUS_CODE_', '').toLowerCase(),
    start: BigInt(field('Start time')),
    end: BigInt(field('End time')),
    attributes: attributes(text),
  };
}

/** `     -> key: Str(text)`, and `Int(1)`. */
function attributes(text: string): Record<string, unknown> {
  const found = text.matchAll(/^ *-> ([^:]+): (Str|Int)\((.*)\)$/gm);
  return Object.fromEntries(
    [...found].map(([, key, type, value]) => [key, type === 'Int' ? Number(value) : value]),
  );
}

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { relay } from '../../scripts/lib/project.mjs';

/** The program that is measured; `RELAY` names another than the built one. */
export const RELAY = process.env.RELAY ?? relay;

/** The relay on free ports, without spans. */
export async function startRelay() {
  const any = 'tcp://127.0.0.1:*';
  const child = spawn(RELAY, ['--listen=127.0.0.1:0', `--bus=${any}`, `--replay=${any}`], {
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines = createInterface(child.stderr);
  const listen = await new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      const entry = JSON.parse(line);
      if (entry.message === 'listening') resolve(entry.listen);
    });
    child.once('close', () => reject(new Error('the relay ended')));
  });
  return {
    port: Number(listen.split(':').at(-1)),
    /** Updates that the bus has taken. */
    async published() {
      const metrics = await (await fetch(`http://${listen}/metrics`)).text();
      return Number(/^atomwire_updates_published_total (\d+)/m.exec(metrics)[1]);
    },
    stop: () => child.kill(),
  };
}

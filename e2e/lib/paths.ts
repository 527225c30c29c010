import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The repository. */
export const root: string = join(import.meta.dirname, '..', '..');
export const at = (...parts: string[]): string => join(root, ...parts);

export const python: string = at('.venv', 'bin', 'python');
export const relayProgram: string = at('target', 'release', 'atomwire-relay');
export const benchProgram: string = at('target', 'release', 'atomwire-bench');
/** A script of this folder that plays a part in somebody else's language. */
export const peer = (name: string): string => at('e2e', 'peers', name);

export const chromiumProgram: string = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Says what has to be built before the tests can run. */
export function requireBuilt(): void {
  const missing = [
    [relayProgram, 'cargo build --release --locked -p atomwire-relay'],
    [benchProgram, 'cargo build --release --locked -p atomwire-bench'],
    [at('emitter-wasm/dist/index.js'), 'npm run build --workspace atomwire'],
    [at('web-demo/dist/index.html'), 'npx vite build'],
    [python, 'npm test -- e2e'],
    [chromiumProgram, 'apt-get install chromium, or set CHROMIUM'],
  ]
    .filter(([path]) => !existsSync(String(path)))
    .map(([path, remedy]) => `${path} is missing: ${remedy}`);
  if (missing.length > 0) throw new Error(`${missing.join('\n')}\n(npm test -- e2e does all of this)`);
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import type { TestProject } from 'vitest/node';
import { at, requireBuilt } from './paths.ts';
import { serve } from './site.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The built demo. */
    demo: string;
    /** The built page of `pages/writer`. */
    writer: string;
  }
}

/** Builds the tests' own page and serves it beside the demo. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  requireBuilt();
  const built = await mkdtemp(join(tmpdir(), 'atomwire-e2e-'));
  await build({
    root: at('e2e/pages/writer'),
    configFile: false,
    logLevel: 'warn',
    build: { outDir: built, emptyOutDir: true },
  });
  const sites = await Promise.all([serve(at('web-demo/dist')), serve(built)]);
  const [demo, writer] = sites;
  project.provide('demo', demo.url);
  project.provide('writer', writer.url);
  return async () => {
    await Promise.all(sites.map((site) => site.close()));
    await rm(built, { recursive: true, force: true });
  };
}

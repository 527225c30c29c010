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
    /** The built page of `pages/tab`. */
    tab: string;
  }
}

/** The tests' own pages. */
const PAGES = ['writer', 'tab'] as const;

/** Builds the tests' own pages and serves them beside the demo. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  requireBuilt();
  const demo = await serve(at('web-demo/dist'));
  project.provide('demo', demo.url);
  const sites = [demo];
  const built = await mkdtemp(join(tmpdir(), 'atomwire-e2e-'));
  for (const page of PAGES) {
    const outDir = join(built, page);
    await build({
      root: at('e2e/pages', page),
      configFile: false,
      logLevel: 'warn',
      build: { outDir, emptyOutDir: true },
    });
    const site = await serve(outDir);
    sites.push(site);
    project.provide(page, site.url);
  }
  return async () => {
    await Promise.all(sites.map((site) => site.close()));
    await rm(built, { recursive: true, force: true });
  };
}

// What Vite ships, as an app's own bundler does it: the benchmark's tables and the budget test weigh the same thing.

import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { at } from '../../scripts/lib/project.mjs';

const ENTRY = 'entry.js';
/** The room of the package whose code waits until somebody asks for it; all other chunks load by themselves. */
const ON_DEMAND = /\/dist\/persist\//;

/**
 * @typedef {object} File
 * @property {string} name
 * @property {Buffer} bytes
 * @property {number} gzip Bytes at level 9.
 * @property {'entry' | 'lazy' | 'on demand'} when It is loaded: at once, by itself later, or by who asks for it.
 */

/**
 * The minified files of a page whose one module has the text `source`, Vite's own preload helper among them.
 * @param {string} source
 * @param {{ external?: RegExp | [] }} [options] What the app has anyhow.
 * @returns {Promise<File[]>}
 */
export async function bundle(source, { external = /^jotai/ } = {}) {
  const path = at('bench', ENTRY);
  const { output } = await inProduction(() =>
    build({
      root: at('bench'),
      configFile: false,
      logLevel: 'error',
      plugins: [
        {
          name: 'entry',
          resolveId: (id) => (id === ENTRY ? path : undefined),
          load: (id) => (id === path ? source : undefined),
        },
      ],
      build: {
        write: false,
        target: 'es2022',
        assetsInlineLimit: 0,
        rolldownOptions: { input: ENTRY, preserveEntrySignatures: 'strict', external },
      },
    }),
  );
  const chunks = new Map(
    output.filter(({ type }) => type === 'chunk').map((chunk) => [chunk.fileName, chunk]),
  );
  const entry = output.find(({ isEntry }) => isEntry).fileName;
  const atOnce = reachable(chunks, entry, ({ imports }) => imports);
  const byItself = reachable(chunks, entry, ({ imports, dynamicImports }) => [
    ...imports,
    ...dynamicImports.filter((name) => !ON_DEMAND.test(chunks.get(name)?.facadeModuleId)),
  ]);
  return output.map(({ type, fileName: name, code, source }) => {
    const bytes = Buffer.from(code ?? source);
    const lazy = type === 'asset' || byItself.has(name);
    return {
      name,
      bytes,
      gzip: gzipSync(bytes, { level: 9 }).length,
      when: atOnce.has(name) ? 'entry' : lazy ? 'lazy' : 'on demand',
    };
  });
}

/** A test runner names its own environment, in which Vite would take other files of a package. */
async function inProduction(work) {
  const { NODE_ENV } = process.env;
  process.env.NODE_ENV = 'production';
  try {
    return await work();
  } finally {
    process.env.NODE_ENV = NODE_ENV;
    if (NODE_ENV === undefined) delete process.env.NODE_ENV;
  }
}

/** Bytes, gzip, of all files that are loaded without being asked for, and of those that are not. */
export function weigh(files) {
  const sum = (some) => some.reduce((total, { gzip }) => total + gzip, 0);
  return {
    loads: sum(files.filter(({ when }) => when !== 'on demand')),
    onDemand: sum(files.filter(({ when }) => when === 'on demand')),
  };
}

/** Names of the chunks that `next` leads to, from one of them on. */
function reachable(chunks, from, next) {
  const found = new Set([from]);
  for (const name of found) {
    const chunk = chunks.get(name);
    if (chunk) for (const other of next(chunk)) found.add(other);
  }
  return found;
}

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { publint } from 'publint';
import { describe, expect, test } from 'vitest';

const require = createRequire(import.meta.url);
const root = join(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

test('the tarball holds the build and its papers, and no more', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: root, encoding: 'utf8' });
  const packed = JSON.parse(output);
  const [{ files }] = Array.isArray(packed) ? packed : Object.values(packed);
  const paths: string[] = files.map(({ path }: { path: string }) => path);
  expect(paths.filter((path) => !path.startsWith('dist/')).sort()).toEqual(['README.md', 'package.json']);
  expect(paths).toContain('dist/LICENSE');
  expect(paths).toContain('dist/index.js');
  expect(paths).toContain('dist/index.d.ts');
  expect(paths).toContain('dist/jotai/index.js');
  expect(paths).toContain('dist/jotai/index.d.ts');
  expect(paths).toContain('dist/slim.js');
  expect(paths).toContain('dist/session/encoded.js');
  expect(paths).toContain('dist/wasm/atomwire_emitter_bg.wasm');
  expect(paths).not.toContain('dist/wasm/atomwire_emitter.js');
});

test('the module holds no JSON parser, no protobuf runtime and no tracing SDK', () => {
  const target = ['--target', 'wasm32-unknown-unknown'];
  const arguments_ = ['tree', '--locked', '--package', 'atomwire-emitter', '--edges', 'normal', ...target];
  const tree = execFileSync('cargo', arguments_, { cwd: root, encoding: 'utf8' });
  expect(tree).toContain('atomwire-wire');
  expect(tree).not.toMatch(/serde_json|prost|opentelemetry/);
});

test('publint has nothing to say, and nothing runs at installation', async () => {
  const { messages } = await publint({ pkgDir: root, strict: true });
  expect(messages).toEqual([]);
  expect(Object.keys(manifest.dependencies)).toEqual(['idb']);
  expect(Object.keys(manifest.scripts).filter((name) => /install|prepare/.test(name))).toEqual([]);
});

test('the version is told as it is', async () => {
  const { version } = await import(join(root, 'dist/session/version.js'));
  expect(version).toBe(manifest.version);
});

describe('the module', () => {
  const modulePath = join(root, 'dist/wasm/atomwire_emitter_bg.wasm');
  const bytes = readFileSync(modulePath);

  test('imports nothing, and holds no path of the machine that built it', async () => {
    const module = await WebAssembly.compile(bytes);
    expect(WebAssembly.Module.imports(module)).toEqual([]);
    expect(bytes.toString('latin1')).not.toContain(process.env.HOME ?? '/home/');
    expect(bytes.toString('latin1')).not.toContain(root);
  });

  test('is the one that the package inlines, in characters that no bundler escapes', async () => {
    const [{ encoded }, { decode }] = await Promise.all([
      import(join(root, 'dist/session/encoded.js')),
      import(join(root, 'dist/session/decode.js')),
    ]);
    expect(Buffer.compare(Buffer.from(decode(encoded)), bytes)).toBe(0);
    expect(encoded).toMatch(/^[ -~]+$/);
    expect(encoded).not.toMatch(/["'`\\$]/);
  });

  test('can be read by Safari 15 and webpack before 5.97: no reference types, no multiple results', () => {
    const disassembler = join(dirname(require.resolve('binaryen/package.json')), 'bin/wasm-dis');
    const dis = execFileSync(process.execPath, [disassembler, modulePath], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    expect(dis).not.toContain('externref');
    expect(dis).not.toMatch(/\(result \w+ \w+/);
  });
});

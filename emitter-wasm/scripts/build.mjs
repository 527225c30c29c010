// Builds dist/: the module, once as a file and once as text, and the TypeScript around it.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encode } from './encode.mjs';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(here);
const require = createRequire(import.meta.url);

const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
const dist = join(here, 'dist');
const wasm = join(dist, 'wasm');
const module = join(wasm, 'atomwire_emitter_bg.wasm');

/**
 * What the module may use: what Safari 15 and webpack before 5.97 can read. Rust's own default has reference
 * types and multiple return values on top, which they cannot.
 */
const FEATURES = [
  'bulk-memory',
  'bulk-memory-opt',
  'mutable-globals',
  'nontrapping-float-to-int',
  'sign-ext',
].map((feature) => `--enable-${feature}`);

/** Once more after the control flow was laid out anew: 40 bytes less than -Oz alone, compressed. */
const PASSES = ['-Os', '--flatten', '--rereloop', '-Os', '-Os'];

const RUSTFLAGS = [
  '-Ctarget-feature=-reference-types,-multivalue',
  // What is called more than once says `inline(never)` itself; all else, and wasm-bindgen's wrappers, belong inline.
  '-Cllvm-args=-inline-threshold=5000',
  // Of a stack that small (176 bytes are used), what lies behind it has short addresses. It grows down to zero: what
  // overflows it traps.
  '-Clink-arg=-zstack-size=1024',
  // Panic messages hold paths; those of this machine are nobody's business.
  `--remap-path-prefix=${root}=atomwire`,
  `--remap-path-prefix=${process.env.CARGO_HOME ?? join(homedir(), '.cargo')}=cargo`,
].join(' ');

function run(command, ...args) {
  const env = { ...process.env, CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: RUSTFLAGS };
  execFileSync(command, args, { cwd: root, env, stdio: 'inherit' });
}

/** A command of an npm package, run by this Node: no shell, no .cmd files. */
function runBin(name, path, ...args) {
  run(process.execPath, join(dirname(require.resolve(`${name}/package.json`)), path), ...args);
}

rmSync(dist, { recursive: true, force: true });
mkdirSync(wasm, { recursive: true });

run(
  'cargo',
  'build',
  '--locked',
  '--package=atomwire-emitter',
  '--no-default-features',
  '--profile=wasm',
  '--target=wasm32-unknown-unknown',
);
const built = join(target, 'wasm32-unknown-unknown', 'wasm', 'atomwire_emitter.wasm');
run('cargo', 'run', '--locked', '--quiet', '--package=atomwire-bindgen', '--', built, wasm);
runBin('binaryen', 'bin/wasm-opt', module, ...PASSES, ...FEATURES, '--strip-producers', '-o', module);
// Numbers cross as they are, and each session has an instance of its own: of what wasm-bindgen writes beside the
// module, its declaration is needed, not its JavaScript.
rmSync(join(wasm, 'atomwire_emitter.js'));
mkdirSync(join(dist, 'session'));
const encoded = encode(readFileSync(module));
writeFileSync(join(dist, 'session', 'encoded.js'), `export const encoded = '${encoded}';\n`);
runBin('typescript', 'bin/tsc', '--project', join(here, 'tsconfig.json'));
const { decode } = await import(join(dist, 'session', 'decode.js'));
if (!readFileSync(module).equals(decode(encoded))) throw new Error('decode.ts is not as encode.mjs');
copyFileSync(join(root, 'LICENSE'), join(dist, 'LICENSE'));

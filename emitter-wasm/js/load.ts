import init from './wasm/atomwire_emitter.js';

let poisoned = false;

/**
 * Loads the WebAssembly module, once a page. Bundlers find the file, and rewrite its address, because both
 * stand in one expression.
 */
export async function load(): Promise<void> {
  if (poisoned) throw new Error('the WebAssembly module has trapped on this page before');
  await init({ module_or_path: new URL('./wasm/atomwire_emitter_bg.wasm', import.meta.url) });
}

/** The module has trapped; its one instance is of no use to a later emitter either. */
export function poison(): void {
  poisoned = true;
}

/** The WebAssembly module, as scripts/build.mjs writes it down: see decode.ts. */
export const encoded: string;

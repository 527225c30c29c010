// As scripts/encode.mjs has them.
const SHIFT = 40;
const ESCAPES = 120;
const PAGE = 48;
const FIRST = 40;

/** The bytes of a text that scripts/encode.mjs wrote. */
export function decode(text: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    let code = text.charCodeAt(at);
    if (code >= ESCAPES) code = (code - ESCAPES) * PAGE + text.charCodeAt(++at) - FIRST;
    bytes.push(code - SHIFT);
  }
  return Uint8Array.from(bytes);
}

// Writes bytes as text that stands in a JavaScript string of any quotes, and that gzip packs as it packs the bytes.
//
// Base64 costs a quarter more after gzip, which finds no repetition in it: six bits are no unit of WebAssembly's.
// Here a byte is a character, and two where it would be none that is printable. (Compressed bytes in base64 would
// weigh the same, but need a DecompressionStream, which Safari before 16.4 has not.)

/** Added to each byte, so that the most frequent ones become printable. */
const SHIFT = 40;
/** From this character on: an escape, which says on which page of so many characters the next one is… */
const ESCAPES = 120;
const PAGE = 48;
/** …that begins with this one, none of which needs an escape in a string. */
const FIRST = 40;
const RESERVED = /["'`\\$]/;

/** @param {Uint8Array} bytes */
export function encode(bytes) {
  return Array.from(bytes, (byte) => {
    const code = (byte + SHIFT) & 0xff;
    const char = String.fromCharCode(code);
    if (code >= 32 && code < ESCAPES && !RESERVED.test(char)) return char;
    return String.fromCharCode(ESCAPES + Math.floor(code / PAGE), FIRST + (code % PAGE));
  }).join('');
}

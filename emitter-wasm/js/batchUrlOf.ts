/**
 * Where a last request goes: beside the relay's stream, over HTTP. `undefined` for a stream at an address of
 * its own, behind a proxy that renames it: nobody can say where the rest is.
 */
export function batchUrlOf(stream: string): string | undefined {
  try {
    const url = new URL(stream, document.baseURI);
    if (!url.pathname.endsWith('/v1/stream')) return undefined;
    url.protocol = url.protocol.replace('ws', 'http');
    url.pathname = url.pathname.replace(/stream$/, 'batch');
    return url.href;
  } catch {
    return undefined;
  }
}

import type { Plugin } from 'vite';

/** Where `?relay=` may point besides the configured relay: a relay on this machine, at any port. */
const LOOPBACK = ['ws', 'http'].flatMap((scheme) => [`${scheme}://127.0.0.1:*`, `${scheme}://localhost:*`]);

/**
 * Gives the built page the Content-Security-Policy that a production page with Atomwire needs. Two directives
 * are Atomwire's: `script-src 'wasm-unsafe-eval'` lets the browser compile WebAssembly (it is not
 * `unsafe-eval`), and `connect-src` names the relay twice: `ws(s)` for the stream and `http(s)` for the batch
 * that leaves with the page. The dev server has no policy, because its hot reload needs inline scripts.
 *
 * `frame-ancestors` is not valid in a `<meta>`: the server sends it (deploy/demo.nginx.conf).
 */
export function contentSecurityPolicy(relayUrl: string | undefined): Plugin {
  const relay = relayUrl === undefined ? [] : [new URL(relayUrl).origin];
  const content = [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src ${["'self'", ...LOOPBACK, ...relay.flatMap(bothSchemes)].join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');

  return {
    name: 'content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      { tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content }, injectTo: 'head-prepend' },
    ],
  };
}

function bothSchemes(origin: string): string[] {
  return [origin, origin.replace(/^ws/, 'http')];
}

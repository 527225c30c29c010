/**
 * Whether this is a page or a worker in a browser. Not a server, whose module state would mix up the requests of
 * several people (Deno and workerd have a `WorkerGlobalScope`, too); not a test's imitation of a page.
 */
export function isLive(): boolean {
  const { document, WorkerGlobalScope, navigator } = globalThis as Record<string, unknown>;
  const { userAgent } = (navigator ?? {}) as { userAgent?: string };
  return !!(document ?? WorkerGlobalScope) && !/jsdom|HappyDOM|Deno|Cloudflare/.test(`${userAgent}`);
}

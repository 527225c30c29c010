import { relayUrl } from './relayUrl';

/** The page that shows the trace: the relay's trace view (`--dev`) unless the build names another. */
export function traceUrl(traceId: string): string {
  return `${import.meta.env.VITE_TRACES_URL ?? relayTracesUrl()}/${traceId}`;
}

function relayTracesUrl(): string {
  const { protocol, host } = new URL(relayUrl);
  return `${protocol === 'wss:' ? 'https' : 'http'}://${host}/traces`;
}

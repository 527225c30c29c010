const DEFAULT_RELAY_URL = 'ws://127.0.0.1:8080/v1/stream';

/** The relay of this page: `?relay=` if it holds a WebSocket address, else what the build was given. */
export const relayUrl: string =
  webSocketUrl(new URLSearchParams(location.search).get('relay')) ?? builtRelayUrl();

function builtRelayUrl(): string {
  return import.meta.env.VITE_RELAY_URL ?? DEFAULT_RELAY_URL;
}

/** An address from outside, given back only if it is a `ws:` or `wss:` one. */
function webSocketUrl(text: string | null): string | undefined {
  if (text === null || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.protocol === 'ws:' || url.protocol === 'wss:' ? url.href : undefined;
}

import { atomAround } from './atomAround.ts';
import type { Peer } from './Peer.ts';
import { KEY } from './span.ts';

const EVERY_MS = 200;

let socket: WebSocket;
let texts: string[] = [];

/** What nobody who sends values can do without: as text, gathered, in one message each 200 ms. No spans, no account. */
export const bareSocket: Peer = {
  atom: atomAround((write) => {
    if (texts.push(JSON.stringify({ [KEY]: write() })) === 1) setTimeout(send, EVERY_MS);
  }),
  async start() {
    socket = new WebSocket(new URL('/socket', location.href.replace(/^http/, 'ws')));
    await new Promise((resolve) => socket.addEventListener('open', resolve));
  },
  async flush() {
    send();
  },
};

function send(): void {
  if (texts.length > 0) socket.send(texts.join('\n'));
  texts = [];
}

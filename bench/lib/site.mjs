import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { WebSocketServer } from 'ws';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };
/** Stands once in every span, event or text that a peer sends, whatever its format. */
const MARK = '"atomwire.key"';

/**
 * Serves `directory`, isolated so that the page's clock ticks in steps of 5 µs, and takes what any peer posts, or
 * sends over a WebSocket.
 */
export async function startSite(directory) {
  let updates = 0;
  let bodyBytes = 0;
  const count = (body) => {
    bodyBytes += body.length;
    updates += occurrences(body, MARK);
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (request.method === 'POST') {
      const parts = [];
      for await (const part of request) parts.push(part);
      count(Buffer.concat(parts));
      response.setHeader('content-type', 'application/json').end('{}');
      return;
    }
    const path = join(directory, pathname === '/' ? 'index.html' : pathname);
    if (!existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    createReadStream(path).pipe(response);
  });
  new WebSocketServer({ server }).on('connection', (socket) => socket.on('message', count));
  // Node would close a connection in the moment in which a batch of each five seconds is on its way.
  server.keepAliveTimeout = 0;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: server.address().port,
    /** Those that have arrived. */
    updates: () => updates,
    /** Of all that came. */
    bodyBytes: () => bodyBytes,
    close: () => server.close(),
  };
}

function occurrences(body, text) {
  let count = 0;
  for (let at = body.indexOf(text); at !== -1; at = body.indexOf(text, at + text.length)) count += 1;
  return count;
}

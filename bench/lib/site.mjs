import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

/**
 * Serves `directory`, isolated so that the page's clock ticks in steps of 5 µs, and takes OTLP/HTTP on `/v1/traces`.
 */
export async function startSite(directory) {
  let spans = 0;
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/v1/traces') {
      let body = '';
      for await (const part of request) body += part;
      spans += body.split('"spanId"').length - 1;
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
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    spans: () => spans,
    close: () => server.close(),
  };
}

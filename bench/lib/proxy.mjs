import { connect, createServer } from 'node:net';

/** A way to `port` that counts what goes there: headers and frames included, TCP's and IP's own not. */
export async function startProxy(port) {
  let sent = 0;
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    client.on('data', (data) => {
      sent += data.length;
    });
    client.pipe(upstream).pipe(client);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, sent: () => sent, close: () => server.close() };
}

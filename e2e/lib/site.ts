import { preview } from 'vite';

/** A folder of built files on a free port. */
export interface Site {
  /** Ends with a slash. */
  url: string;
  close(): Promise<void>;
}

/** Serves `directory` as it is. */
export async function serve(directory: string): Promise<Site> {
  const server = await preview({
    root: directory,
    configFile: false,
    logLevel: 'silent',
    build: { outDir: '.' },
    preview: { host: '127.0.0.1', port: 0 },
  });
  const url = server.resolvedUrls?.local[0];
  if (url === undefined) throw new Error(`${directory} is not served`);
  return { url, close: () => server.close() };
}

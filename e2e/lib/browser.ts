import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { chromiumProgram } from './paths.ts';

/** Headless, small, and quiet on the network. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumProgram,
    args: ARGS,
    // Playwright would switch off what every user has.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
}

/** What the pages of a context complained of. */
export class Complaints {
  /** Errors that nobody caught. */
  readonly uncaught: string[] = [];
  /** What was written to the console as an error, the browser's own words included. */
  readonly errors: string[] = [];
  /** The emitter's diagnostics, as the demo and the writer page report them: `kind: message`. */
  readonly diagnostics: string[] = [];

  constructor(context: BrowserContext) {
    context.on('weberror', (error) => this.uncaught.push(String(error.error())));
    context.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text());
      const diagnostic = /^atomwire: (.*)/.exec(message.text())?.[1];
      if (diagnostic !== undefined) this.diagnostics.push(diagnostic);
    });
  }
}

/** A page's address with the relay that it is to use. */
export function withRelay(page: string, stream: string): string {
  return `${page}?relay=${encodeURIComponent(stream)}`;
}
